"""Kernels in the instructions of AMX, run: by the processor, or by a handler in its place.

Their results are those of tiles that float32 vectors emulate, bit for bit, and they use tiles as
the processor asks.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from kernels import trapped_amx
from kernels.convolutions import CASES, Case, in_bfloat16
from kernels.images import normal, run
from kernels.test_bfloat16 import MORE
from kernels.trapped_amx import Unit

from adapters.base import Settings, Stopwatch
from adapters.columnar_backend import ColumnarBackend
from columnar_nn import kernels as k
from columnar_nn.data import tensor_column
from columnar_nn.kernels import RELU, BoundKernel, Layout, bfloat16, host
from columnar_nn.kernels.layout import aligned
from columnar_nn.kernels.parameters import address
from columnar_nn.model import zoo

pytestmark = pytest.mark.skipif(
    not trapped_amx.is_possible(), reason="AMX is of x86-64, and Linux hands its SIGILL on"
)
ROOT = Path(__file__).parents[2]
HAS_AMX = host.has_tiles()
trapped = pytest.mark.skipif(HAS_AMX, reason="the processor does AMX's instructions itself")


@pytest.fixture
def unit() -> Iterator[Unit]:
    """AMX in a handler; nothing may have been misused in the end."""
    with trapped_amx.installed() as handler:
        yield handler
        assert handler.misused() == {}


def both(bound: Callable[[], BoundKernel], *inputs: np.ndarray) -> np.ndarray:
    """What a kernel gives, the same by tiles of both kinds."""
    kernels = [trapped_amx.made_for(kind, bound) for kind in ("emulated", "amx")]
    expected, actual = (run(kernel, *inputs) for kernel in kernels)
    np.testing.assert_array_equal(actual, expected)
    return actual


@pytest.mark.parametrize("case", [*CASES, *MORE], ids=str)
def test_a_convolution(case: Case, unit: Unit) -> None:
    _, inputs, expected = in_bfloat16(case)
    actual = both(lambda: in_bfloat16(case)[0], *inputs)
    assert_close(actual, expected, rtol=2.0**-8, atol=1e-5 * float(np.abs(expected).max()))
    assert bool(unit.counted()["multiply"]) != HAS_AMX


@pytest.mark.parametrize("shape", [(1, 18, 18), (64, 1, 1), (20, 3, 3), (3, 1, 1), (4, 2, 1)])
@pytest.mark.parametrize("outputs", [5, 43])
@pytest.mark.usefixtures("unit")
def test_a_dense_layer(shape: tuple[int, int, int], outputs: int) -> None:
    image = normal(1, 2, *shape)
    weight, bias = normal(2, outputs, image[0].size), normal(3, outputs)
    both(lambda: k.dense_bfloat16(Layout("nhwc_bf16", shape), weight, bias, RELU), image)


@pytest.mark.usefixtures("unit")
def test_numbers_at_the_ends() -> None:
    """NaN, infinity, and what is or becomes denormal, which both take for zero."""
    image = normal(1, 2, 40, 6, 5) * np.float32(2.0) ** np.arange(-130, 110, 8).reshape(6, 5)
    image[0, 1, 2, 3], image[1, 3, 1, 1] = np.nan, np.inf
    weight = normal(2, 20, 40, 3, 3) * np.float32(1e-3)
    layout = Layout("nhwc_bf16", image.shape[1:])
    both(lambda: k.conv2d_bfloat16(layout, weight, pads=(1, 1, 1, 1)), image)


def outputs(network: str, rows: int, threads: int) -> tuple[str, np.ndarray]:
    """What a network in bfloat16 says of how it is computed, and gives for random pixels."""
    graph = zoo.resolve(network)
    pixels = np.random.default_rng(1).integers(
        0, 256, (rows, *graph.inputs[0].shape[1:]), dtype=np.uint8
    )
    batch = pa.record_batch({"image": tensor_column.from_numpy(pixels)})
    engine = ColumnarBackend(graph, Settings("bfloat16", threads, rows))
    (output,) = engine.infer([batch], Stopwatch())
    engine.close()
    return engine.describe().notes[0], tensor_column.to_numpy(output.column(0))


@pytest.mark.parametrize("network", ["plain9", "resnet20"])
@pytest.mark.parametrize(("rows", "threads"), [(2, 1), (1, 2), (3, 2)])
def test_networks(network: str, rows: int, threads: int, unit: Unit) -> None:
    """Two threads share an image, or take one each: each configures tiles of its own."""
    note, actual = outputs(network, rows, threads)
    assert " by AMX" in note
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bfloat16, "tile_kind", lambda: "emulated")
        _, expected = outputs(network, rows, threads)
    np.testing.assert_array_equal(actual, expected)
    if rows < threads and not HAS_AMX:
        assert unit.threads() == threads


@trapped
@pytest.mark.parametrize("network", ["plain9", "resnet20"])
def test_an_image_takes_as_many_instructions_as_documented(network: str, unit: Unit) -> None:
    outputs(network, 1, 1)
    counted = unit.counted()
    assert counted["configure"] == counted["release"]
    numbers = [f"{counted[name]:,}" for name in ("multiply", "load", "store", "configure")]
    page = (ROOT / "docs/kernels.md").read_text(encoding="utf-8")
    assert f"| {network} | {' | '.join(numbers)} |" in page


def assembled(*lines: str) -> Callable[..., None]:
    """A C function of addresses, in the language of the GNU assembler."""
    llvm.initialize_native_asmparser()
    text = "\\0A".join([".globl snippet", "snippet:", *lines, "ret"])
    module = llvm.parse_assembly(f'module asm "{text}"')
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        features="+amx-tile,+amx-bf16", codemodel="jitdefault"
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None)(engine.get_function_address("snippet"))
    return lambda *given: (function(*map(ctypes.c_int64, given)), engine)[0]


FORMS = [
    ("rax", "r9", 1, 0),
    ("rcx", "r15", 2, 8),
    ("rdx", "rax", 4, -8),
    ("rbx", "rdx", 8, 127),
    ("rbp", "r12", 1, 0),
    ("rsi", "rbp", 2, 1024),
    ("rdi", "rbx", 4, -4096),
    ("r8", "r13", 8, 0),
    ("r9", "rsi", 1, -128),
    ("r10", "rdi", 2, 128),
    ("r11", "rcx", 4, 0),
    ("r12", "r8", 8, 16),
    ("r13", "r14", 1, 0),
    ("r14", "r10", 2, 2**30),
    ("r15", "r11", 4, 0),
]
"""Base, index, scale and displacement of an address: each register as each."""

KEPT = ("rbx", "rbp", "r12", "r13", "r14", "r15")


@pytest.mark.parametrize(("number", "form"), [*enumerate(FORMS)])
@pytest.mark.usefixtures("unit")
def test_every_form_of_an_address(number: int, form: tuple[str, str, int, int]) -> None:
    base, index, scale, displacement = form
    tile, goal = number % 8, next(r for r in ("r8", "r9", "r10") if r not in (base, index))
    copy = assembled(
        *(f"pushq %{name}" for name in KEPT),
        "ldtilecfg (%rdi)",
        f"movq %rdx, %{goal}",
        f"leaq {-displacement}(%rsi), %{base}",
        f"movq ${192 // scale}, %{index}",
        f"tileloadd{'t1' if number % 2 else ''} {displacement}(%{base},%{index},{scale}), "
        f"%tmm{tile}",
        f"tilestored %tmm{tile}, (%{goal},%{index},{scale})",
        "tilerelease",
        *(f"popq %{name}" for name in reversed(KEPT)),
    )
    source = np.random.default_rng(1).integers(0, 256, (16, 192), dtype=np.uint8)
    target, sizes = np.zeros_like(source), sized({tile: (9, 40)})
    copy(address(sizes), address(source), address(target))
    expected = np.zeros_like(source)
    expected[:9, :40] = source[:9, :40]
    np.testing.assert_array_equal(target, expected)


def sized(tiles: dict[int, tuple[int, int]]) -> np.ndarray:
    """A configuration of tiles of so many rows and bytes a row."""
    memory = aligned(64)
    memory[0] = 1
    for tile, (rows, row_bytes) in tiles.items():
        memory[16 + 2 * tile], memory[48 + tile] = row_bytes, rows
    return memory


FITTING = {0: (3, 64), 1: (3, 20), 2: (5, 64)}

PRODUCT = (
    "ldtilecfg (%rdi)",
    "movl $64, %eax",
    "tilezero %tmm0",
    "tileloadd (%rsi,%rax), %tmm1",
    "tileloadd (%rsi,%rax), %tmm2",
    "tdpbf16ps %tmm2, %tmm1, %tmm0",
    "tilerelease",
)


def without(*parts: str) -> tuple[str, ...]:
    """Those lines of PRODUCT that begin with none of some parts."""
    return tuple(line for line in PRODUCT if not line.startswith(parts))


def before_product(line: str) -> tuple[str, ...]:
    """PRODUCT with a line before the product."""
    return (*PRODUCT[:5], line, *PRODUCT[5:])


PRODUCT_OF_ONE_TILE = ".byte 0xc4, 0xe2, 0x72, 0x5c, 0xc1"  # tdpbf16ps %tmm1, %tmm1, %tmm0


@trapped
@pytest.mark.parametrize(
    ("expected", "lines", "tiles"),
    [
        ({}, PRODUCT, FITTING),
        ({"configuration": 1, "unconfigured": 4}, PRODUCT, {**FITTING, 3: (17, 64)}),
        ({"configuration": 1, "unconfigured": 4}, PRODUCT, {**FITTING, 3: (16, 68)}),
        ({"configuration": 1, "unconfigured": 4}, PRODUCT, {**FITTING, 3: (0, 4)}),
        ({"configuration": 1, "unconfigured": 4}, PRODUCT, {**FITTING, 9: (0, 1)}),
        ({"unconfigured": 4}, without("ldtilecfg"), FITTING),
        ({"unconfigured": 2}, PRODUCT, {0: (3, 64), 2: (5, 64)}),
        ({"sizes": 1}, PRODUCT, {**FITTING, 1: (3, 24)}),
        ({"sizes": 1}, PRODUCT, {**FITTING, 1: (3, 22)}),
        ({"sizes": 1}, PRODUCT, {**FITTING, 1: (4, 20)}),
        ({"sizes": 1}, PRODUCT, {**FITTING, 2: (5, 60)}),
        ({"same_tile": 1}, before_product(PRODUCT_OF_ONE_TILE), FITTING),
        ({"not_released": 1}, without("tilerelease"), FITTING),
        ({"not_released": 1}, ("ldtilecfg (%rdi)", *PRODUCT), FITTING),
        ({"unfilled": 1}, without("tilezero"), FITTING),
        ({"unfilled": 1}, without("tileloadd (%rsi,%rax), %tmm2"), FITTING),
        ({"stale": 1}, before_product("incb 131(%rsi)"), FITTING),
    ],
)
def test_misuse_is_counted(
    expected: dict[str, int], lines: tuple[str, ...], tiles: dict[int, tuple[int, int]]
) -> None:
    sizes, memory = sized(tiles), np.zeros(16 * 64, np.uint8)
    with trapped_amx.installed() as unit:
        assembled(*lines)(address(sizes), address(memory))
        assert unit.misused() == expected


@trapped
def test_what_is_no_instruction_of_tiles_still_ends_the_process() -> None:
    refused = assembled("ud2")
    child = os.fork()
    if not child:
        faulthandler.disable()  # pytest's, which would print
        with trapped_amx.installed():
            refused()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGILL


@trapped
def test_the_handler_of_before_comes_back() -> None:
    def handler() -> bytes:
        action = ctypes.create_string_buffer(152)
        ctypes.CDLL(None).sigaction(signal.SIGILL, None, action)
        return action.raw[:8]

    before = handler()
    with trapped_amx.installed():
        assert handler() != before
    assert handler() == before
