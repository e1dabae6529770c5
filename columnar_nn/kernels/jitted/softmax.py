"""Softmax and places of extremes over the last axis of an image's tensor."""

from __future__ import annotations

import math
from collections.abc import Callable

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, greatest_lane, maximum, sum_of_lanes
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.exponential import exponential
from columnar_nn.kernels.jitted.memory import blocks, clear, copy, floats, share
from columnar_nn.kernels.parameters import Floats, Words
from columnar_nn.kernels.softmax import Rows


@inlined
def greatest_of_row(row: Floats, scratch: Floats, count: int, num_blocks: int) -> float:
    """The greatest of a row, which it copies to scratch with -inf up to a whole block."""
    copy(scratch, row, count)
    for index in range(count, num_blocks * LANES):
        scratch[index] = -math.inf
    highest, values = block(-math.inf), blocks(scratch)
    for index in range(num_blocks):
        highest = maximum(highest, values[index])
    highest_of_all: float = greatest_lane(highest)
    return highest_of_all


def softmax(
    parameters: Rows, source: Floats, target: Floats, scratch: Floats, part: int, parts: int
) -> None:
    """Softmax of each row. Parts share the rows.

    Whole blocks are taken from where they lie to where they go, the rest of a row in scratch. The
    greatest is found in two chains, for one would wait 8 cycles for each block.
    """
    count, last = parameters.length, blocks(scratch)
    whole, rest = count // LANES, count % LANES
    done = whole * LANES
    for row in share(parameters.rows, part, parts):
        values, powers = blocks(source + row * count), blocks(target + row * count)
        highest, other = block(-math.inf), block(-math.inf)
        for index in range(whole // 2):
            highest = maximum(highest, values[2 * index])
            other = maximum(other, values[2 * index + 1])
        if whole % 2:
            other = maximum(other, values[whole - 1])
        if rest:
            last[0] = block(-math.inf)
            copy(scratch, floats(values) + done, rest)
            highest = maximum(highest, last[0])
        top = block(greatest_lane(maximum(highest, other)))
        total = block(0.0)
        for index in range(whole):
            power = exponential(values[index] - top)
            total += power
            powers[index] = power
        if rest:
            last[0] = exponential(last[0] - top)
            total += last[0]
        scale = block(float32(1) / sum_of_lanes(total))
        for index in range(whole):
            powers[index] *= scale
        if rest:
            last[0] *= scale
            copy(floats(powers) + done, scratch, rest)


def log_softmax(
    parameters: Rows, source: Floats, target: Floats, scratch: Floats, part: int, parts: int
) -> None:
    """Natural logarithm of the softmax of each row. Parts share the rows."""
    count, values = parameters.length, blocks(scratch)
    num_blocks = (count + LANES - 1) // LANES
    for row in share(parameters.rows, part, parts):
        top = greatest_of_row(source + row * count, scratch, count, num_blocks)
        total = block(0.0)
        for index in range(num_blocks):
            shifted = values[index] - top
            total += exponential(shifted)
            values[index] = shifted
        change = math.log(sum_of_lanes(total))
        for index in range(num_blocks):
            values[index] -= change
        copy(target + row * count, scratch, count)


@inlined
def first_greatest(row: Floats, length: int) -> int:
    """Place of the first greatest of a row; NaN is greatest, as in PyTorch."""
    best, place = row[0], 0
    for index in range(1, length):
        value = row[index]
        if not value <= best and not math.isnan(best):  # greater, or the first NaN
            best, place = value, index
    return place


@inlined
def last_greatest(row: Floats, length: int) -> int:
    """Place of the last greatest of a row, or of the last NaN."""
    best, place = row[0], 0
    for index in range(1, length):
        value = row[index]
        if value >= best or math.isnan(value):
            best, place = value, index
    return place


@inlined
def first_least(row: Floats, length: int) -> int:
    """Place of the first least of a row, or of the first NaN."""
    best, place = row[0], 0
    for index in range(1, length):
        value = row[index]
        if not value >= best and not math.isnan(best):
            best, place = value, index
    return place


@inlined
def last_least(row: Floats, length: int) -> int:
    """Place of the last least of a row, or of the last NaN."""
    best, place = row[0], 0
    for index in range(1, length):
        value = row[index]
        if value <= best or math.isnan(value):
            best, place = value, index
    return place


PLACES = {
    ("max", 0): first_greatest,
    ("max", 1): last_greatest,
    ("min", 0): first_least,
    ("min", 1): last_least,
}


def place_of(extreme: str, last: int) -> Callable[..., None]:
    """Place of an extreme of each row. Parts share the rows."""
    place = PLACES[extreme, last]

    def kernel(parameters: Rows, source: Floats, target: Words, part: int, parts: int) -> None:
        for row in share(parameters.rows, part, parts):
            target[row] = place(source + row * parameters.length, parameters.length)

    return kernel


@inlined
def first_of(row: Floats, length: int, value: float) -> int:
    """Place of the first in a row that is `value`, or of the first NaN, if there is one."""
    for index in range(length):
        if row[index] == value or math.isnan(row[index]):
            return index
    return 0


def hardmax(
    parameters: Rows, source: Floats, target: Floats, scratch: Floats, part: int, parts: int
) -> None:
    """1 in the place of the first greatest of each row, 0 elsewhere. Parts share the rows."""
    length = parameters.length
    num_blocks = (length + LANES - 1) // LANES
    for row in share(parameters.rows, part, parts):
        values = source + row * length
        top = greatest_of_row(values, scratch, length, num_blocks)
        clear(target + row * length, length)
        target[row * length + first_of(values, length, top)] = float32(1)
