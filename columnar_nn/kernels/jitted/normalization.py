"""Rows, and groups of channels, normalised by their own mean and variance."""

from __future__ import annotations

import math
from typing import Any

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, sum_of_lanes
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import blocks, clear_lanes, copy, floats, share
from columnar_nn.kernels.normalization import NormalizedBlocks, NormalizedGroups, NormalizedRows
from columnar_nn.kernels.parameters import Blocks, Floats
from columnar_nn.kernels.primitives import fma


def normalization(
    parameters: NormalizedRows,
    source: Floats,
    target: Floats,
    scratch: Floats,
    part: int,
    parts: int,
) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset of each row. Parts share the rows.

    Rows are short: each is worked on in scratch, so that its last block is whole.
    """
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


@inlined
def sum_of_blocks(values: Blocks, count: int) -> Any:
    """The sum of so many blocks, in four chains."""
    first, second, third, last = block(0.0), block(0.0), block(0.0), block(0.0)
    for index in range(count // 4):
        first += values[4 * index]
        second += values[4 * index + 1]
        third += values[4 * index + 2]
        last += values[4 * index + 3]
    for index in range(count // 4 * 4, count):
        first += values[index]
    return (first + second) + (third + last)


@inlined
def squares_of_blocks(values: Blocks, count: int, mean: Any) -> Any:
    """The sum of the squares of their distances from a mean, in four chains."""
    first, second, third, last = block(0.0), block(0.0), block(0.0), block(0.0)
    for index in range(count // 4):
        distance = values[4 * index] - mean
        first = fma(distance, distance, first)
        distance = values[4 * index + 1] - mean
        second = fma(distance, distance, second)
        distance = values[4 * index + 2] - mean
        third = fma(distance, distance, third)
        distance = values[4 * index + 3] - mean
        last = fma(distance, distance, last)
    for index in range(count // 4 * 4, count):
        distance = values[index] - mean
        first = fma(distance, distance, first)
    return (first + second) + (third + last)


def groups(
    parameters: NormalizedGroups,
    source: Floats,
    target: Floats,
    scratch: Floats,
    part: int,
    parts: int,
) -> None:
    """Groups of planar channels. Parts share the groups."""
    p = parameters
    run, last = p.channels * p.pixels, blocks(scratch)
    whole, rest = run // LANES, run % LANES
    for group in share(p.groups, part, parts):
        start = source + group * run
        total = sum_of_blocks(blocks(start), whole)
        if rest:
            last[0] = block(0.0)
            copy(scratch, start + whole * LANES, rest)
            total += last[0]
        mean = block(sum_of_lanes(total) / float32(run))
        squares = squares_of_blocks(blocks(start), whole, mean)
        if rest:
            last[0] = mean  # no distance from it
            copy(scratch, start + whole * LANES, rest)
            distance = last[0] - mean
            squares = fma(distance, distance, squares)
        variance = sum_of_lanes(squares) / float32(run)
        factor = float32(1) / math.sqrt(variance + p.epsilon)
        for channel in range(group * p.channels, (group + 1) * p.channels):
            scale, offset = block(factor * p.scale[channel]), block(p.offset[channel])
            inputs, outputs = source + channel * p.pixels, target + channel * p.pixels
            num_blocks = p.pixels // LANES
            for index in range(num_blocks):
                distance = blocks(inputs)[index] - mean
                blocks(outputs)[index] = fma(distance, scale, offset)
            left, done = p.pixels - num_blocks * LANES, num_blocks * LANES
            if left:
                copy(scratch, inputs + done, left)
                last[0] = fma(last[0] - mean, scale, offset)
                copy(outputs + done, scratch, left)


@inlined
def average_groups(values: Floats, channels: int, group: int, pixels: int) -> None:
    """Puts in the place of sums of channels, in groups of so many, the average of each group."""
    for start in range(channels // group):
        total = float32(0)
        for channel in range(start * group, (start + 1) * group):
            total += values[channel]
        average = total / float32(group * pixels)
        for channel in range(start * group, (start + 1) * group):
            values[channel] = average


def groups_of_blocks(
    parameters: NormalizedBlocks,
    source: Blocks,
    target: Blocks,
    scratch: Floats,
    part: int,
    parts: int,
) -> None:
    """Groups of channels of nchw16c images. Parts share the units, of which each has whole groups.

    Sums of channels are lanes of sums of blocks.
    """
    p = parameters
    means, variances = blocks(scratch), blocks(scratch) + p.unit_blocks
    for unit in share(p.units, part, parts):
        first = unit * p.unit_blocks
        channels = min(p.unit_blocks * LANES, p.channels - first * LANES)
        for b in range(p.unit_blocks):
            means[b] = sum_of_blocks(source + (first + b) * p.pixels, p.pixels)
        average_groups(scratch, channels, p.group, p.pixels)
        for b in range(p.unit_blocks):
            plane = source + (first + b) * p.pixels
            variances[b] = squares_of_blocks(plane, p.pixels, means[b])
        average_groups(floats(variances), channels, p.group, p.pixels)
        for b in range(p.unit_blocks):
            plane, goal = source + (first + b) * p.pixels, target + (first + b) * p.pixels
            mean, offset = means[b], p.offset[first + b]
            scale = p.scale[first + b] / math.sqrt(variances[b] + p.epsilon)
            for pixel in range(p.pixels):
                goal[pixel] = fma(plane[pixel] - mean, scale, offset)
            if p.ragged_mask and channels < (b + 1) * LANES:
                clear_lanes(goal, p.pixels, p.ragged_mask)
