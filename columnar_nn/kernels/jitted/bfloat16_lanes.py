"""bfloat16 in lanes of vectors: rounded to, widened from, multiplied in pairs."""

from __future__ import annotations

from llvmlite import ir

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.emitter import BLOCK, FLOAT, INT32, Emitter, Value

INT16 = ir.IntType(16)

PAIRS = ir.VectorType(INT32, LANES)
"""A pair of bfloat16 in each of 16 lanes."""


class _BfloatType(ir.Type):  # type: ignore[misc] # llvmlite has no types
    """LLVM's bfloat, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BfloatType)

    def __hash__(self) -> int:
        return hash(_BfloatType)


def add_pairs(
    e: Emitter, total: Value, left: Value, right: Value, by_instruction: bool = True
) -> Value:
    """total, 16 float32, plus the products of two and two bfloat16 in each lane of int32.

    Without the instruction what it computes, but for denormals, which a program flushes anyway.
    """
    if not by_instruction:
        for half in (_odd, _even):
            total = e.multiply_add(half(e, left), half(e, right), total)
        return total
    kind = ir.VectorType(_BfloatType(), 2 * LANES)
    pairs = [e.builder.bitcast(value.ir, kind) for value in (left, right)]
    return e.of(e.call("llvm.x86.avx512bf16.dpbf16ps.512", BLOCK, total.ir, *pairs))


def _odd(e: Emitter, pairs: Value) -> Value:
    """The second of each pair as float32."""
    return e.of(e.builder.bitcast((pairs & -0x10000).ir, BLOCK))


def _even(e: Emitter, pairs: Value) -> Value:
    """The first of each pair as float32."""
    shifted = e.builder.shl(pairs.ir, pairs.constant(16))
    return e.of(e.builder.bitcast(shifted, BLOCK))


def narrowed(e: Emitter, value: Value, by_instruction: bool) -> Value:
    """float32 lanes rounded to the nearest bfloat16, to the even one of two, as int16 lanes.

    NaN stays NaN. The instruction, where the processor has it, makes zero of denormals.
    """
    builder, count = e.builder, value.type.count
    halves = ir.VectorType(INT16, count)
    if by_instruction:
        rounded = builder.fptrunc(value.ir, ir.VectorType(_BfloatType(), count))
        return e.of(builder.bitcast(rounded, halves))
    bits = e.of(builder.bitcast(value.ir, ir.VectorType(INT32, count)))
    last = e.of(builder.lshr(bits.ir, bits.constant(16)))
    nearest = bits + (last & 1) + 0x7FFF
    quiet = bits | 0x400000
    kept = value.is_nan().select(quiet, nearest)
    return e.of(builder.trunc(builder.lshr(kept.ir, bits.constant(16)), halves))


def widened(e: Emitter, halves: Value) -> Value:
    """bfloat16, as int16 lanes, as float32."""
    count = halves.type.count
    wide = e.builder.zext(halves.ir, ir.VectorType(INT32, count))
    shifted = e.builder.shl(wide, e.of(wide).constant(16))
    return e.of(e.builder.bitcast(shifted, ir.VectorType(FLOAT, count)))


def half_lanes(count: int) -> ir.VectorType:
    """LLVM's type of so many bfloat16 in memory."""
    return ir.VectorType(INT16, count)


def filled(e: Emitter, values: Value) -> Value:
    """Lanes made 16 with zeros."""
    count = values.type.count
    if count == LANES:
        return values
    lanes = [min(lane, count) for lane in range(LANES)]
    mask = ir.Constant(ir.VectorType(INT32, LANES), lanes)
    zeros = ir.Constant(values.type, [0.0] * count)
    return e.of(e.builder.shuffle_vector(values.ir, zeros, mask))
