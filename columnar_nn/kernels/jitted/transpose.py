"""Squares of 16 x 16 floats transposed in registers, for changes of layout and of axes."""

from __future__ import annotations

from llvmlite import ir
from numba import types

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import BLOCK, INT32, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, integer
from columnar_nn.kernels.parameters import FLOAT_BYTES


@emitted(types.none(POINTERS["float"], integer, POINTERS["float"], integer))
def transpose(e: Emitter, target: Value, target_step: Value, source: Value, step: Value) -> None:
    """16 lines of 16 floats as their columns; lines begin so many floats apart, there and here.

    Quarters are exchanged across the diagonal, of all, of each quarter, and so on.
    """
    lines = [e.load(source + step * (FLOAT_BYTES * i), BLOCK).ir for i in range(LANES)]
    half = LANES // 2
    while half:
        for i in range(LANES):
            if not i & half:
                pair = lines[i], lines[i + half]
                lines[i], lines[i + half] = (_exchanged(e, *pair, half, side) for side in (0, half))
        half //= 2
    for i, line in enumerate(lines):
        e.store(target + target_step * (FLOAT_BYTES * i), e.of(line))


def _exchanged(e: Emitter, upper: ir.Value, lower: ir.Value, half: int, side: int) -> ir.Value:
    """In runs of `half` lanes by turns those of two lines: of both the left ones, or the right."""
    lanes = [lane - half + side + LANES if lane & half else lane + side for lane in range(LANES)]
    mask = ir.Constant(ir.VectorType(INT32, LANES), lanes)
    return e.builder.shuffle_vector(upper, lower, mask)
