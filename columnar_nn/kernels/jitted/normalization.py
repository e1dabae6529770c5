"""Rows of a planar tensor normalised: 16 elements at a time, in scratch, so that none is cut."""

from __future__ import annotations

import math

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, sum_of_lanes
from columnar_nn.kernels.jitted.memory import blocks, copy, share
from columnar_nn.kernels.normalization import NormalizedRows
from columnar_nn.kernels.parameters import Floats
from columnar_nn.kernels.primitives import fma


def normalization(
    parameters: NormalizedRows,
    source: Floats,
    target: Floats,
    scratch: Floats,
    part: int,
    parts: int,
) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset of each row. Parts share the rows."""
    p = parameters
    count, values = p.length, blocks(scratch)
    num_blocks = (count + LANES - 1) // LANES
    for row in share(p.rows, part, parts):
        copy(scratch, source + row * count, count)
        for index in range(count, num_blocks * LANES):
            scratch[index] = float32(0)
        total = block(0.0)
        for index in range(num_blocks):
            total += values[index]
        mean = sum_of_lanes(total) / float32(count)
        for index in range(count, num_blocks * LANES):
            scratch[index] = mean  # no distance from it
        squares = block(0.0)
        for index in range(num_blocks):
            distance = values[index] - mean
            squares = fma(distance, distance, squares)
            values[index] = distance
        variance = sum_of_lanes(squares) / float32(count)
        scale = float32(1) / math.sqrt(variance + p.epsilon)
        for index in range(num_blocks):
            value = values[index] * scale
            if p.scale:
                value = value * p.scale[index]
            if p.offset:
                value = value + p.offset[index]
            values[index] = value
        copy(target + row * count, scratch, count)
