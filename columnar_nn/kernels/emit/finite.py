"""Zero times each of some floats, summed: zero, or NaN if one of them is not finite."""

from __future__ import annotations

from columnar_nn.kernels.emit import tile
from columnar_nn.kernels.emit.emitter import FLOAT, Emitter, Value

STEP = 64
"""Floats a loop step takes."""


def spoil(e: Emitter, source: Value, items: Value, target: Value) -> None:
    """target[0] = the sum over `items` floats of 0 * float."""
    zero = e.constant(e.vector, 0.0)
    sums = [e.variable(zero) for _ in range(0, STEP, e.width)]
    steps = items // STEP
    with e.loop(steps) as step:
        here = source + step * (4 * STEP)
        for value, slot in zip(tile.load_row(e, here, STEP), sums, strict=True):
            slot.value = e.multiply_add(value, zero, slot.value)
    total = e.variable(tile.sum_of_lanes(e, [slot.value for slot in sums]))
    with e.loop(items, steps * STEP) as index:
        value = e.load(source + index * 4, FLOAT)
        total.value = total.value + value * 0.0
    e.store(target, total.value)
