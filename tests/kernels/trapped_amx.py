"""AMX on a processor without it: its instructions raise SIGILL, and a handler does what they do.

As Intel's manual says (Architectures Software Developer's Manual, volume 1, chapter 18, and volume
2, LDTILECFG to TILEZERO), on tiles of the thread's own, in arithmetic of its own: products of
bfloat16 are exact in float64, and so is rounding their sums from there to float32. Where the
processor would refuse, and where a kernel does what it should not, the handler counts a Misuse and
goes on. What is no instruction of tiles goes to the handler of before. Where the processor has AMX
it does its instructions itself, and nothing is counted.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import llvmlite.binding as llvm
import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from columnar_nn.kernels import BoundKernel, bfloat16, host, jit
from columnar_nn.kernels.jit import Kernel

ROWS, ROW_BYTES, TILES, LANES = 16, 64, 8, 16


class Counted(enum.IntEnum):
    """The instructions, TILELOADDT1 as TILELOADD."""

    CONFIGURE = 0
    ZERO = enum.auto()
    LOAD = enum.auto()
    MULTIPLY = enum.auto()
    STORE = enum.auto()
    RELEASE = enum.auto()


class Misuse(enum.IntEnum):
    """What a kernel should not do. The processor refuses the first four: #GP or #UD."""

    CONFIGURATION = 0
    """LDTILECFG of another palette than 1, of reserved bytes, or of sizes that no tile has."""
    UNCONFIGURED = enum.auto()
    """A tile is used that has no size."""
    SIZES = enum.auto()
    """The sizes of a product's tiles do not fit each other."""
    SAME_TILE = enum.auto()
    """A product of a tile and itself."""
    NOT_RELEASED = enum.auto()
    """Tiles are configured that are still in use: whoever used them did not release them."""
    UNFILLED = enum.auto()
    """A tile is read, and nothing was put there since it was configured."""
    STALE = enum.auto()
    """A product reads a tile, and memory has changed since it was loaded from there."""
    SHARED = enum.auto()
    """Two threads have the same place in the handler's own table."""


_STATE = np.dtype(
    [
        ("thread", np.int64),
        ("configured", np.int64),
        ("rows", np.int64, TILES),
        ("row_bytes", np.int64, TILES),
        ("filled", np.int64, TILES),
        ("address", np.int64, TILES),
        ("stride", np.int64, TILES),
        ("counted", np.int64, len(Counted)),
        ("misused", np.int64, len(Misuse)),
        ("tiles", np.uint8, (TILES, ROWS, ROW_BYTES)),
        ("terms", np.float32, (2, 2, ROWS, LANES)),
        ("sums", np.float32, (2, LANES)),
    ]
)
"""Of a thread. `address` is where a tile was loaded from, or 0; `terms` and `sums` are a product's:
even and odd terms of left rows and right ones, even and odd sums.
"""

_STATES = np.zeros(1024, _STATE)  # by the thread's number, modulo theirs
_PREVIOUS = np.zeros(152, np.uint8)  # struct sigaction of the C library, x86-64
_STATES_AT, _STATE_BYTES, _PREVIOUS_AT = _STATES.ctypes.data, _STATE.itemsize, _PREVIOUS.ctypes.data
_TILES_AT, _TERMS_AT = _STATE.fields["tiles"][1], _STATE.fields["terms"][1]

_GETTID = 186
_REGISTERS_AT, _RIP = 40, 16
_ORDER = (13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7)
"""Of ucontext_t: where registers lie, the instruction pointer's place, and by their numbers in
instructions those of the others (sys/ucontext.h).
"""

_SMALLEST = 2.0**-126 * (1 - 2.0**-25)
"""What rounds to a float32 that is denormal, if exponents had no end, is below it."""

_inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")


@intrinsic
def _pointer(_: Any, address: types.Type) -> Any:
    """An address as numba's `carray` takes it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.voidptr(address), generate


@_inner
def _is_configured(state: Any, tile: int) -> bool:
    if state.configured and state.rows[tile]:
        return True
    state.misused[Misuse.UNCONFIGURED] += 1
    return False


@_inner
def _configure(state: Any, address: int) -> None:
    state.counted[Counted.CONFIGURE] += 1
    state.misused[Misuse.NOT_RELEASED] += state.configured
    memory = carray(_pointer(address), 64, np.uint8)
    state.configured = 0
    is_wrong = memory[0] != 1
    for index in range(1, 16):
        is_wrong |= memory[index] != 0
    for index in range(32, 48):
        is_wrong |= memory[index] != 0
    for index in range(56, 64):
        is_wrong |= memory[index] != 0
    for tile in range(TILES):
        rows = np.int64(memory[48 + tile])
        row_bytes = np.int64(memory[16 + 2 * tile]) + 256 * np.int64(memory[17 + 2 * tile])
        is_wrong |= rows > ROWS or row_bytes > ROW_BYTES or (rows == 0) != (row_bytes == 0)
        state.rows[tile] = rows
        state.row_bytes[tile] = row_bytes
        state.filled[tile] = 0
        state.address[tile] = 0
    if is_wrong:
        state.misused[Misuse.CONFIGURATION] += 1
        return
    state.tiles[:] = 0
    state.configured = 1


@_inner
def _load(state: Any, tile: int, address: int, stride: int) -> None:
    state.counted[Counted.LOAD] += 1
    if not _is_configured(state, tile):
        return
    state.tiles[tile] = 0
    for row in range(state.rows[tile]):
        memory = carray(_pointer(address + row * stride), ROW_BYTES, np.uint8)
        for index in range(state.row_bytes[tile]):
            state.tiles[tile, row, index] = memory[index]
    state.filled[tile] = 1
    state.address[tile] = address
    state.stride[tile] = stride


@_inner
def _store(state: Any, tile: int, address: int, stride: int) -> None:
    state.counted[Counted.STORE] += 1
    if not _is_configured(state, tile):
        return
    state.misused[Misuse.UNFILLED] += 1 - state.filled[tile]
    for row in range(state.rows[tile]):
        memory = carray(_pointer(address + row * stride), ROW_BYTES, np.uint8)
        for index in range(state.row_bytes[tile]):
            memory[index] = state.tiles[tile, row, index]


@_inner
def _is_stale(state: Any, tile: int) -> bool:
    if not state.address[tile]:
        return False
    for row in range(state.rows[tile]):
        place = state.address[tile] + row * state.stride[tile]
        memory = carray(_pointer(place), ROW_BYTES, np.uint8)
        for index in range(state.row_bytes[tile]):
            if memory[index] != state.tiles[tile, row, index]:
                return True
    return False


@_inner
def _flushed(value: float) -> np.float32:
    """To the nearest float32; zero of the same sign for what is denormal."""
    nearest = np.float32(value)
    return nearest if abs(value) >= _SMALLEST else nearest * np.float32(0)


@_inner
def _spread(state: Any, state_at: int, side: int, tile: int) -> None:
    """Makes float32 of a tile's pairs of bfloat16, zero of what is denormal."""
    pairs = carray(_pointer(state_at + _TILES_AT + tile * 1024), (ROWS, LANES), np.uint32)
    terms = carray(_pointer(state_at + _TERMS_AT), (2, 2, ROWS, LANES), np.uint32)
    for row in range(state.rows[tile]):
        for lane in range(LANES):
            both = pairs[row, lane]
            for odd in range(2):
                bits = np.uint32(both & 0xFFFF0000) if odd else np.uint32(both << 16)
                terms[side, odd, row, lane] = bits if bits & 0x7F800000 else bits & 0x80000000


@_inner
def _multiply(state: Any, state_at: int, total: int, left: int, right: int) -> None:
    state.counted[Counted.MULTIPLY] += 1
    if total in (left, right) or left == right:
        state.misused[Misuse.SAME_TILE] += 1
        return
    for tile in (total, left, right):
        if not _is_configured(state, tile):
            return
        state.misused[Misuse.UNFILLED] += 1 - state.filled[tile]
    rows, depth, lanes = state.rows[total], state.rows[right], state.row_bytes[total] // 4
    is_whole = state.row_bytes[total] % 4 == 0 and state.row_bytes[left] % 4 == 0
    fits = rows == state.rows[left] and depth == state.row_bytes[left] // 4
    if not (is_whole and fits and state.row_bytes[right] == state.row_bytes[total]):
        state.misused[Misuse.SIZES] += 1
        return
    state.misused[Misuse.STALE] += _is_stale(state, left) or _is_stale(state, right)
    _spread(state, state_at, 0, left)
    _spread(state, state_at, 1, right)
    held = carray(_pointer(state_at + _TILES_AT + total * 1024), (ROWS, LANES), np.float32)
    for row in range(rows):
        state.sums[:] = 0
        for pair in range(depth):
            for odd in range(2):
                term = np.float64(state.terms[0, odd, row, pair])
                for lane in range(lanes):
                    product = term * np.float64(state.terms[1, odd, pair, lane])
                    state.sums[odd, lane] = _flushed(np.float64(state.sums[odd, lane]) + product)
        for lane in range(lanes):
            both = _flushed(np.float64(state.sums[0, lane]) + np.float64(state.sums[1, lane]))
            before = np.float64(_flushed(np.float64(held[row, lane])))
            held[row, lane] = _flushed(before + np.float64(both))
    state.address[total] = 0


@_inner
def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


@_inner
def _operand(registers: Any, code: Any) -> tuple[int, int, int]:
    """An instruction's address without the index, the index scaled, and the instruction's length.

    The highest bits of the registers' numbers lie in the second byte, inverted.
    """
    mode, base = code[4] >> 6, code[4] & 7
    index_high, base_high = 8 - (np.int64(code[1]) >> 3 & 8), 8 - (np.int64(code[1]) >> 2 & 8)
    length, index, has_displacement = 5, 0, mode == 0 and base == 5
    address = np.int64(0)
    if base == 4:
        byte = code[5]
        length = 6
        base = byte & 7
        has_displacement = mode == 0 and base == 5
        number = (byte >> 3 & 7) | index_high
        if number != 4:
            index = registers[_ORDER[number]] << (byte >> 6)
        if not has_displacement:
            address = registers[_ORDER[base | base_high]]
    elif has_displacement:
        address = registers[_RIP] + length + 4
    else:
        address = registers[_ORDER[base | base_high]]
    if mode == 1:
        return address + _signed(np.int64(code[length]), 8), index, length + 1
    if mode == 2 or has_displacement:
        value = np.int64(0)
        for byte_number in range(4):
            value |= np.int64(code[length + byte_number]) << (8 * byte_number)
        return address + _signed(value, 32), index, length + 4
    return address, index, length


@_inner
def _executed(registers: Any, state: Any, state_at: int) -> int:
    """Does the instruction of tiles that comes next: its length, or 0 where there is none.

    VEX of three bytes: map 0F38, no W, no L; then opcode and ModRM (volume 2, 2.3).
    """
    code = carray(_pointer(registers[_RIP]), 16, np.uint8)
    if code[0] != 0xC4 or code[1] & 0x9F != 0x82 or code[2] & 0x84:
        return 0
    prefix, third = np.int64(code[2] & 3), np.int64(15 - (code[2] >> 3 & 15))
    if code[4] >> 6 != 3:
        return 0 if third else _done_on_memory(registers, code, state, prefix)
    opcode, tile, other = code[3], np.int64(code[4] >> 3 & 7), np.int64(code[4] & 7)
    if opcode == 0x5C and prefix == 2 and code[1] & 0x20 and third < TILES:
        _multiply(state, state_at, tile, other, third)
        return 5
    if opcode != 0x49 or third or other:
        return 0
    if prefix == 3:
        state.counted[Counted.ZERO] += 1
        if _is_configured(state, tile):
            state.tiles[tile] = 0
            state.filled[tile] = 1
            state.address[tile] = 0
    elif prefix or tile:
        return 0
    else:
        state.counted[Counted.RELEASE] += 1
        state.configured = 0
    return 5


@_inner
def _done_on_memory(registers: Any, code: Any, state: Any, prefix: int) -> int:
    """As `_executed`, of one that loads a configuration, or loads or stores a tile."""
    tile = np.int64(code[4] >> 3 & 7)
    is_configuration = code[3] == 0x49 and prefix == 0 and not tile
    is_of_tile = code[3] == 0x4B and prefix and code[4] & 7 == 4
    if not (is_configuration or is_of_tile):
        return 0
    address, index, length = _operand(registers, code)
    if is_configuration:
        _configure(state, address + index)
    elif prefix == 2:
        _store(state, tile, address, index)
    else:  # TILELOADD, or TILELOADDT1
        _load(state, tile, address, index)
    return length


@functools.cache
def _handler() -> Any:
    """The handler's machine code; it calls two functions of the C library."""
    word = types.int64
    sigaction = types.ExternalFunction("sigaction", types.int32(types.int32, word, word))
    system_call = types.ExternalFunction("syscall", word(word))

    @cfunc(types.void(types.int32, word, word), error_model="numpy")
    def handle(number: int, _: int, context: int) -> None:
        thread = system_call(_GETTID)
        state_at = _STATES_AT + thread % len(_STATES) * _STATE_BYTES
        state = carray(_pointer(state_at), 1, _STATE)[0]
        if state.thread != thread:
            state.misused[Misuse.SHARED] += state.configured
            state.configured = 0
            state.thread = thread
        registers = carray(_pointer(context + _REGISTERS_AT), 17, np.int64)
        length = _executed(registers, state, state_at)
        registers[_RIP] += length
        if not length:
            sigaction(number, _PREVIOUS_AT, 0)

    return handle


class Unit:
    """What the handler has counted in all threads since it was installed."""

    def counted(self) -> dict[str, int]:
        """How often each instruction was executed."""
        totals = _STATES["counted"].sum(axis=0)
        return {kind.name.lower(): int(totals[kind]) for kind in Counted}

    def misused(self) -> dict[str, int]:
        """What went wrong, and how often; tiles that a kernel left in use are NOT_RELEASED."""
        totals = _STATES["misused"].sum(axis=0)
        totals[Misuse.NOT_RELEASED] += _STATES["configured"].sum()
        return {kind.name.lower(): int(totals[kind]) for kind in Misuse if totals[kind]}

    def forget(self) -> None:
        """Begins to count anew."""
        _STATES["counted"], _STATES["misused"], _STATES["configured"] = 0, 0, 0

    def threads(self) -> int:
        """How many threads have executed such instructions."""
        return int((_STATES["counted"][:, Counted.CONFIGURE] > 0).sum())


def is_possible() -> bool:
    """Whether kernels in AMX's instructions can run here, on Linux on x86-64.

    Not where the processor has AMX and Linux does not permit it: not all instructions trap then.
    """
    is_refused = "+amx-tile" in host.processor_features() and not host.has_tiles()
    return sys.platform == "linux" and platform.machine() == "x86_64" and not is_refused


@contextmanager
def installed() -> Iterator[Unit]:
    """Has kernels use AMX, whose instructions the handler does if nothing else does."""
    unit = Unit()
    unit.forget()
    if host.has_tiles():
        yield unit
        return
    action = (ctypes.c_uint64 * 19)()
    action[0] = _handler().address
    action[17] = 0x40000004  # SA_NODEFER, SA_SIGINFO
    sigaction = ctypes.CDLL(None).sigaction
    assert sigaction(signal.SIGILL, action, ctypes.c_void_p(_PREVIOUS_AT)) == 0
    try:
        with (
            patch.object(host, "has_tiles", lambda: True),
            patch.object(jit, "compile_kernel", _compile),
        ):
            yield unit
    finally:
        sigaction(signal.SIGILL, ctypes.c_void_p(_PREVIOUS_AT), None)


def _compile(kernel: Kernel, compile_kernel: Callable[[Kernel], bytes] = jit.compile_kernel) -> Any:
    """As `jit.compile_kernel`; of one that uses AMX as for a processor with it.

    LLVM orders instructions as is best there, and takes none that this processor lacks.
    """
    if kernel.constants[:1] != ("amx",):
        return compile_kernel(kernel)
    features = f"{llvm.get_host_cpu_features().flatten()},+amx-tile,+amx-bf16"
    with (
        patch.object(host, "processor_name", lambda: "sapphirerapids"),
        patch.object(host, "processor_features", lambda: features),
    ):
        return compile_kernel(kernel)


def made_for(kind: str, bound: Callable[[], BoundKernel]) -> BoundKernel:
    """A kernel that uses tiles of a kind; of "amx" it runs while this is installed."""
    with patch.object(bfloat16, "tile_kind", lambda: kind):
        kernel = bound()
    assert kernel.function.constants[0] == kind
    return kernel
