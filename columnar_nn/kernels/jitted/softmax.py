"""Softmax and argmax over the last axis of an image's tensor."""

from __future__ import annotations

import math

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, greatest_lane, maximum, sum_of_lanes
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.exponential import exponential
from columnar_nn.kernels.jitted.memory import blocks, copy, share
from columnar_nn.kernels.parameters import Floats, Words
from columnar_nn.kernels.softmax import Features, Rows


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
    """Softmax of each row. Parts share the rows."""
    count, values = parameters.length, blocks(scratch)
    num_blocks = (count + LANES - 1) // LANES
    for row in share(parameters.rows, part, parts):
        top = greatest_of_row(source + row * count, scratch, count, num_blocks)
        total = block(0.0)
        for index in range(num_blocks):
            power = exponential(values[index] - top)
            total += power
            values[index] = power
        scale = float32(1) / sum_of_lanes(total)
        for index in range(num_blocks):
            values[index] *= scale
        copy(target + row * count, scratch, count)


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


def argmax(parameters: Features, source: Floats, target: Words, part: int) -> None:
    """Index of the first greatest; NaN is greatest, as in PyTorch. Part 0 does it all."""
    if part == 0:
        best, place = source[0], 0
        for index in range(1, parameters.length):
            value = source[index]
            if not value <= best and not math.isnan(best):  # greater, or the first NaN
                best, place = value, index
        target[0] = place
