"""Layers in bfloat16 against NumPy with operands rounded, and against Intel's manual of AMX.

Each kind of products that this machine can compute is checked; the emulated one is everywhere.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import ml_dtypes
import numpy as np
import pytest
from closeness import assert_close
from kernels.convolutions import CASES, Case, check_in_bfloat16, in_bfloat16
from kernels.images import bfloat16_bits, images_of, narrow, normal, run, stored

from columnar_nn import kernels as k
from columnar_nn.errors import InvalidModelError
from columnar_nn.functions import activations
from columnar_nn.kernels import NO_ACTIVATION, RELU, Activation, Layout, bfloat16, host, jit
from columnar_nn.kernels.bfloat16_product import to_bfloat16
from columnar_nn.kernels.parameters import address
from columnar_nn.kernels.tables import SPOILED_BYTES

BOTH = ("nchw16c", "nhwc_bf16")

WINDOWS: list[dict[str, Any]] = [
    {"window": (2, 2), "strides": (2, 2)},
    {"window": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1)},
    {"window": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "ceil_mode": True},
    {"window": (2, 3), "dilations": (2, 3), "pads": (1, 2, 1, 2)},
]

KINDS = (
    "emulated",
    *(["vectors"] if host.has_bfloat16() else []),
    *(["amx"] if host.has_tiles() else []),
)
"""What may compute products here."""

MORE = (
    Case(3, 64, (30, 29), (7, 7), (2, 2), (3, 3, 3, 3)),
    Case(64, 96, (7, 7), (1, 1), (2, 2)),
    Case(16, 16, (8, 8), (3, 3), (2, 2), (1, 1, 1, 1)),
    Case(70, 65, (5, 6), (3, 3), (3, 2), (0, 1, 2, 1), residual=True),
    Case(128, 128, (8, 9), pads=(1, 0, 0, 1), groups=32),
    Case(24, 48, (1, 1), (1, 1)),
    Case(5, 17, (8, 2), (3, 1), (3, 1)),
    Case(1, 2, (4, 4), (2, 2)),
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of them."""
    monkeypatch.setattr(bfloat16, "tile_kind", lambda: request.param)
    return str(request.param)


@pytest.mark.parametrize("case", [*CASES, *MORE], ids=str)
def test_a_convolution_is_that_of_rounded_operands(kind: str, case: Case) -> None:
    check_in_bfloat16(case)


def test_what_is_here_computes_products() -> None:
    assert bfloat16.tile_kind() == KINDS[-1]


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
@pytest.mark.parametrize("case", [CASES[1], CASES[3], MORE[1], MORE[3]], ids=str)
def test_parts_together_compute_all(kind: str, case: Case, algorithm: str) -> None:
    """Of two images, at once where the kernel takes several."""
    kernel, inputs, _ = in_bfloat16(case, algorithm)
    arrays = [
        stored(given, layout) for given, layout in zip(inputs, kernel.input_layouts, strict=True)
    ]
    rows = [array.nbytes // 2 for array in arrays]
    images = 2 if kernel.at_once else 1
    outputs = []
    for parts in (1, 3):
        output = np.zeros((images, kernel.output_layout.num_items), np.uint16)
        scratch = np.zeros(SPOILED_BYTES // 4 + kernel.scratch_floats, np.float32)
        for part in range(parts):
            first, second = (arrays[0], arrays[-1])
            words = [address(first), address(second) if case.residual else 0, address(output)]
            kernel.function.run(
                *(address(kernel.words), *words, address(scratch) + SPOILED_BYTES, part, parts),
                *(images, rows[0], rows[-1], output.nbytes // images),
            )
        outputs.append(output)
    np.testing.assert_array_equal(*outputs)
    alone = run(kernel, *inputs)[:images]
    np.testing.assert_array_equal(images_of(outputs[0], kernel.output_layout), alone)


@pytest.mark.parametrize("count", [2, 16])
@pytest.mark.parametrize("outputs", [32, 43, 16, 3])
def test_images_of_one_pixel_are_the_same_in_a_group(kind: str, outputs: int, count: int) -> None:
    x, images, weight = (
        Layout("nhwc_bf16", (70, 1, 1)),
        normal(1, 16, 70, 1, 1),
        normal(2, outputs, 70),
    )
    for kernel in (
        k.dense_bfloat16(x, weight, normal(3, outputs), RELU),
        k.conv2d_bfloat16(x, weight[:, :, np.newaxis, np.newaxis], normal(3, outputs)),
    ):
        program = k.Program((k.Step(kernel, (0,), 1),), (0,), (1,))
        output = np.full((count, kernel.output_layout.num_items), 99, kernel.output_layout.dtype)
        program.run([stored(images[:count], x)], [output], "step")
        alone = run(kernel, images[:count])
        np.testing.assert_array_equal(images_of(output, kernel.output_layout), alone)


@pytest.mark.skipif("vectors" not in KINDS, reason="the processor has no AVX512_BF16")
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_winograd_tells_of_pixels_that_it_cannot_take(value: float) -> None:
    case = Case(32, 20, (9, 12), pads=(1, 1, 1, 1))
    kernel, (image,), _ = in_bfloat16(case, "winograd")
    assert kernel.name == "conv2d_bfloat16_winograd_f4x4_3x3"
    program = k.Program((k.Step(kernel, (0,), 1),), (0,), (1,))
    output = np.zeros((2, kernel.output_layout.num_items), np.uint16)
    arrays = [stored(image, kernel.input_layouts[0])], [output]
    assert program.run(*arrays)
    for place in ((0, 0), (8, 11)):
        spoiled = image.copy()
        spoiled[1, 31, place[0], place[1]] = value
        assert not program.run([stored(spoiled, kernel.input_layouts[0])], [output])
    assert program.run(*arrays)


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "vectors"], indirect=True)
def test_products_round_as_the_manual_says(kind: str) -> None:
    """Bit for bit: of each step even and odd terms apart, fused, then both together, then all.

    Intel, Architectures Software Developer's Manual, volume 2, TDPBF16PS.
    """
    weight, row = narrow(normal(1, 32, 64)), narrow(normal(2, 1, 64))
    kernel = k.dense_bfloat16(Layout("nhwc_bf16", (64, 1, 1)), weight)
    expected = np.zeros(32, np.float32)
    for step in range(0, 64, 32):
        halves = np.zeros((2, 32), np.float32)
        for index in range(32):
            product = row[0, step + index].astype(np.float64) * weight[:, step + index]
            halves[index % 2] = (halves[index % 2] + product).astype(np.float32)
        expected = expected + (halves[0] + halves[1])
    np.testing.assert_array_equal(run(kernel, row[:, :, np.newaxis, np.newaxis])[0], expected)


@pytest.mark.parametrize("shape", [(1, 18, 18), (64, 1, 1), (20, 3, 3), (3, 1, 1), (4, 2, 1)])
def test_a_dense_layer_reads_a_flattened_image(kind: str, shape: tuple[int, int, int]) -> None:
    image = normal(1, 2, *shape)
    weight, bias = normal(2, 43, image[0].size), normal(3, 43)
    kernel = k.dense_bfloat16(Layout("nhwc_bf16", shape), weight, bias, RELU)
    sums = narrow(image).reshape(2, -1).astype(np.float64) @ narrow(weight).T + bias
    expected = np.maximum(sums, 0).astype(np.float32)
    assert_close(run(kernel, image), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 4, 16, 17, 40])
def test_images_are_rounded_and_widened_exactly(channels: int) -> None:
    image = normal(1, 2, channels, 5, 7) * np.float32(1e3)
    image[0, 0, 0, :4] = np.nan, np.inf, -np.inf, 3e38
    for kind in ("nchw16c", *(["planar"] if channels <= 4 else [])):
        kernel = k.narrow(Layout(kind, image.shape[1:]))
        rounded = run(kernel, image)
        np.testing.assert_array_equal(rounded, narrow(image))
        np.testing.assert_array_equal(run(k.widen(kernel.output_layout), rounded), narrow(image))
    with pytest.raises(InvalidModelError, match="insert a reorder step"):
        k.narrow(Layout("planar", (5, 1, 1)))


def test_rounding_is_that_of_ml_dtypes() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 10_000, dtype=np.uint32)
    values = np.concatenate(
        [bits.view(np.float32), np.array([0x3F808000, 0x3F818000], np.uint32).view(np.float32)]
    )
    known, numbers = np.isnan(values), to_bfloat16(values)
    np.testing.assert_array_equal(numbers[~known], bfloat16_bits(values)[~known])
    assert np.isnan(numbers[known].view(ml_dtypes.bfloat16).astype(np.float32)).all()


@pytest.mark.parametrize("channels", [3, 16, 40])
def test_nan_spoils_what_sees_it_and_nothing_else(kind: str, channels: int) -> None:
    kernel, (image,), _ = in_bfloat16(Case(channels, 20, (9, 12), pads=(1, 1, 1, 1)))
    image[0, 1, 4, 6] = np.nan
    spoiled = np.zeros((2, 20, 9, 12), bool)
    spoiled[0, :, 3:6, 5:8] = True
    np.testing.assert_array_equal(np.isnan(run(kernel, image)), spoiled)


def test_other_layouts_and_sizes_are_refused() -> None:
    with pytest.raises(InvalidModelError, match="needs nhwc_bf16"):
        k.conv2d_bfloat16(Layout("nchw16c", (16, 4, 4)), np.ones((1, 16, 3, 3), np.float32))
    with pytest.raises(InvalidModelError, match="does not fit"):
        k.dense_bfloat16(Layout("nhwc_bf16", (16, 1, 1)), np.ones((3, 17), np.float32))


def assembly(processor: str, module: str, function: str, constants: tuple[Any, ...]) -> str:
    """A kernel compiled for a processor, which need not be this one."""
    from columnar_nn.kernels import code_generator
    from columnar_nn.kernels.jitted import entry

    code_generator.target_machine()  # initialises LLVM
    made = entry.link("kernel", jit.ARGUMENTS, entry.kernel_function(module, function, constants))
    code_generator.optimize(made)
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return str(target.create_target_machine(cpu=processor, opt=3).emit_assembly(made))


@pytest.mark.skipif(not host.is_x86(), reason="AVX512_BF16 is of x86")
def test_products_of_vectors_are_one_instruction() -> None:
    """Compiled for Zen 4: two blocks of filters of four pairs for each pixel of each tile."""
    text = assembly("znver4", "bfloat16_vectors", "product", (16, 32, 1, 0, 0, 0))
    assert text.count("vdpbf16ps") == 4 * 2 * sum(range(1, host.tile_pixels() + 1))
    assert set(re.findall(r"call\w*\s+(\w+)", text)) <= {"memcpy", "memset"}


@pytest.mark.skipif(not host.is_x86(), reason="AMX is of x86")
@pytest.mark.parametrize(
    "constants", [(32, "nhwc_bf16", 1), (16, "nhwc_bf16", 0), (32, "planar", 0)]
)
def test_on_amx_the_same_kernel_is_its_instructions(
    constants: tuple[int, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled for Sapphire Rapids, and not run: products, loads and stores of tiles, no call."""
    monkeypatch.setattr(host, "has_bfloat16", lambda: True)
    text = assembly("sapphirerapids", "bfloat16", "product", ("amx", *constants))
    found = re.findall(r"^\s+(tile\w+|tdp\w+|ldtilecfg|vcvtne\w+)", text, re.MULTILINE)
    tiles = 4 if constants[0] == 32 else 5
    counts = {name: found.count(name) for name in set(found)}
    expected = {"ldtilecfg": 1, "tilezero": 4, "tdpbf16ps": 4, "tilestored": 4, "tilerelease": 1}
    assert {name: counts.get(name) for name in expected} == expected
    assert counts["tileloadd"] == tiles
    assert any(name.startswith("vcvtne") for name in found) == (constants[1] != "planar")
    called = set(re.findall(r"call\w*\s+(\w+)", text))
    assert called <= {"memcpy", "memset"}


@pytest.mark.skipif("vectors" not in KINDS, reason="the processor has no AVX512_BF16")
def test_vectors_take_denormals_for_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a processor's manual says of VDPBF16PS, whatever its control register says."""
    monkeypatch.setattr(bfloat16, "tile_kind", lambda: "vectors")
    kernel = k.dense_bfloat16(Layout("nhwc_bf16", (32, 1, 1)), np.full((1, 32), 1e30, np.float32))
    image = np.full((1, 32, 1, 1), 1e-39, np.float32)
    steps = (k.Step(kernel, (0,), 1),)
    program = k.Program(steps, (0,), (1,), keep_denormals=True)
    output = np.full((1, 1), np.nan, np.float32)
    assert narrow(image).all()
    program.run([stored(image, kernel.input_layouts[0])], [output])
    assert output == 0.0


@pytest.mark.parametrize("channels", [3, 16, 20, 40])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_pools(channels: int, window: dict[str, Any]) -> None:
    """Those of nchw16c, which the reference is compared with, of rounded images, rounded."""
    image = narrow(normal(1, 2, channels, 9, 8))
    image[0, 1, 4, 4], image[1, 2, 5, 5] = np.nan, -np.inf
    for pool in (k.max_pool, k.average_pool):
        wide, slim = (pool(Layout(kind, image.shape[1:]), **window) for kind in BOTH)
        expected = run(wide, image)
        noise = 0.0 if pool is k.max_pool else 1e-5
        assert_close(run(slim, image), narrow(expected), rtol=2.0**-8 if noise else 0.0, atol=noise)
    counted = {**window, "count_include_pad": True}
    wide, slim = (k.average_pool(Layout(kind, image.shape[1:]), **counted) for kind in BOTH)
    assert_close(run(slim, image), narrow(run(wide, image)), rtol=2.0**-8, atol=1e-5)
    wide, slim = (k.global_average_pool(Layout(kind, image.shape[1:])) for kind in BOTH)
    assert_close(run(slim, image), narrow(run(wide, image)), rtol=2.0**-8, atol=1e-5)


def test_a_window_in_the_padding_alone() -> None:
    for pool, expected in ((k.max_pool, -np.inf), (k.average_pool, np.nan)):
        kernel = pool(Layout("nhwc_bf16", (5, 1, 2)), (2, 2), pads=(1, 1, 1, 1), dilations=(2, 2))
        assert np.array_equal(
            run(kernel, normal(1, 1, 5, 1, 2))[0, :, 0, 0], np.full(5, expected), equal_nan=True
        )


@pytest.mark.parametrize("sizes", [(16, 16), (3, 20, 5), (40, 64), (4, 1)])
def test_channels_side_by_side(sizes: tuple[int, ...]) -> None:
    images = [normal(seed, 2, size, 5, 7) for seed, size in enumerate(sizes)]
    layouts = [Layout("nhwc_bf16", image.shape[1:]) for image in images]
    parts = k.concat(layouts)
    output = parts[0].output_layout
    steps = tuple(k.Step(part, (index,), len(sizes)) for index, part in enumerate(parts))
    result = np.full((2, output.num_items), 99, np.uint16)
    arrays = [stored(image, layout) for image, layout in zip(images, layouts, strict=True)]
    k.Program(steps, tuple(range(len(sizes))), (len(sizes),)).run(arrays, [result])
    np.testing.assert_array_equal(images_of(result, output), narrow(np.concatenate(images, axis=1)))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux is asked")
def test_amx_is_used_only_where_linux_permits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that is said to have it, and has not: the system refuses."""
    has_it = " amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    monkeypatch.setattr(host, "_features", lambda: frozenset({"+amx-tile", "+amx-bf16"}))
    host.has_tiles.cache_clear()
    host.has_bfloat16.cache_clear()
    try:
        assert host.has_tiles() == has_it
        assert bfloat16.tile_kind() == ("amx" if has_it else "emulated")  # it has nothing else
    finally:
        host.has_tiles.cache_clear()
        host.has_bfloat16.cache_clear()


SIGMOID = Activation(function=k.PythonFunction("sigmoid", activations.sigmoid))

MATRICES = (
    ((3, 5, 64), 96, RELU, False),
    ((130, 40), 33, NO_ACTIVATION, True),
    ((1, 16), 32, NO_ACTIVATION, False),
    ((17, 100), 70, Activation(-0.5, 1.0), True),
    ((2, 9, 48), 64, SIGMOID, True),
)
"""(left factor, columns, activation, residual)"""


@pytest.mark.skipif("vectors" not in KINDS, reason="the processor has no AVX512_BF16")
@pytest.mark.parametrize(
    ("shape", "columns", "activation", "residual"), MATRICES, ids=[str(m[:2]) for m in MATRICES]
)
def test_rows_by_a_constant_matrix(
    shape: tuple[int, ...], columns: int, activation: Activation, residual: bool
) -> None:
    left, matrix, bias = normal(1, 2, *shape), normal(2, shape[-1], columns), normal(3, columns)
    kernel = k.matrix_product_bfloat16(Layout("planar", shape), matrix, bias, activation, residual)
    expected = narrow(left).astype(np.float64) @ narrow(matrix) + bias
    inputs = [left]
    if residual:
        inputs.append(normal(4, *expected.shape))
        expected = expected + inputs[1]
    if activation.function:
        expected = 1 / (1 + np.exp(-expected))
    expected = np.clip(expected, activation.low, activation.high).astype(np.float32)
    assert_close(run(kernel, *inputs), expected, rtol=1e-5, atol=1e-5)


def test_other_matrices_are_refused() -> None:
    for shape in ((16, 31), (15, 32), (2, 16, 32)):
        with pytest.raises(InvalidModelError, match="in bfloat16"):
            k.matrix_product_bfloat16(Layout("planar", (4, shape[-2])), np.ones(shape, np.float32))
