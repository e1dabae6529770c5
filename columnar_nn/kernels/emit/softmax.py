"""Softmax and argmax over the last axis of an image's tensor."""

from __future__ import annotations

import math

from columnar_nn.kernels.emit.elementwise import exponential, maximum
from columnar_nn.kernels.emit.emitter import BLOCK, FLOAT, Emitter, Value
from columnar_nn.kernels.emit.tile import sum_of_lanes
from columnar_nn.kernels.host import LANES

BLOCK_BYTES = 4 * LANES


def softmax(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    scratch: Value,
    part: Value,
    parts: Value,
    logarithm: int,
) -> None:
    """Softmax of each row of `count` floats, or its natural logarithm. Parts share the rows.

    Parameters: rows, count.
    """
    rows, count = e.load_words(parameters, 2)
    blocks = (count + (LANES - 1)) // LANES
    begin, end = e.share(rows, part, parts)
    with e.loop(end, begin) as row:
        place = row * count * 4
        e.copy(scratch, source + place, count * 4)
        with e.loop(blocks * LANES, count) as index:
            e.store(scratch + index * 4, e.constant(FLOAT, -math.inf))
        highest = e.variable(e.constant(BLOCK, -math.inf))
        with e.loop(blocks) as block:
            values = e.load(scratch + block * BLOCK_BYTES, BLOCK)
            highest.value = maximum(e, highest.value, values)
        top = highest.value.lane(0)
        for lane in range(1, LANES):
            top = maximum(e, top, highest.value.lane(lane))
        shift = e.splat(top, LANES)
        sums = e.variable(e.constant(BLOCK, 0.0))
        with e.loop(blocks) as block:
            here = scratch + block * BLOCK_BYTES
            shifted = e.load(here, BLOCK) - shift
            power = exponential(e, shifted)
            sums.value = sums.value + power
            e.store(here, shifted if logarithm else power)
        total = sum_of_lanes(e, [sums.value])
        if logarithm:
            change = e.of(e.call("logf", FLOAT, total.ir))
        else:
            change = e.constant(FLOAT, 1.0) / total
        changes = e.splat(change, LANES)
        with e.loop(blocks) as block:
            here = scratch + block * BLOCK_BYTES
            value = e.load(here, BLOCK)
            e.store(here, value - changes if logarithm else value * changes)
        e.copy(target + place, scratch, count * 4)


def argmax(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    _parts: Value,
) -> None:
    """Index of the first greatest of `count` floats, int64; NaN is greatest, as in PyTorch.

    Part 0 does it all.
    """
    count = e.load_word(parameters)
    with e.when(part.equals(0)):
        best = e.variable(e.load(source, FLOAT))
        place = e.variable(e.word(0))
        with e.loop(count, e.word(1)) as index:
            value = e.load(source + index * 4, FLOAT)
            better = (value > best.value) | value.is_nan()
            with e.when(better & best.value.equals(best.value)):
                best.value = value
                place.value = index
        e.store(target, place.value, 8)
