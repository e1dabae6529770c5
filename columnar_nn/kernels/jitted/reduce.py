"""Means over the last axis, and sums over neighbouring channels (LRN), of planar tensors."""

from __future__ import annotations

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, sum_of_lanes
from columnar_nn.kernels.jitted.memory import blocks, clear, copy, share
from columnar_nn.kernels.parameters import Floats
from columnar_nn.kernels.primitives import fma
from columnar_nn.kernels.reduce import Means, Normalization


def mean(
    parameters: Means, source: Floats, target: Floats, scratch: Floats, part: int, parts: int
) -> None:
    """The mean of each row. Parts share the rows."""
    length = parameters.length
    whole = length // LANES
    clear(scratch, LANES)
    for row in share(parameters.rows, part, parts):
        start = source + row * length
        # the last, incomplete block of a row is added to zeros
        copy(scratch, start + whole * LANES, length - whole * LANES)
        total, values = blocks(scratch)[0], blocks(start)
        for index in range(whole):
            total += values[index]
        target[row] = sum_of_lanes(total) / float32(length)


def local_response_normalization(
    parameters: Normalization, source: Floats, target: Floats, part: int, parts: int
) -> None:
    """x / (bias + factor * sum of squares) ** beta. Parts share the channels."""
    p = parameters
    whole = p.pixels // LANES
    for channel in share(p.channels, part, parts):
        first = max(channel - p.before, 0)
        end = min(channel + p.after + 1, p.channels)
        inputs, outputs = source + channel * p.pixels, target + channel * p.pixels
        for index in range(whole):
            squares = block(0.0)
            for neighbour in range(first, end):
                x = blocks(source + neighbour * p.pixels)[index]
                squares = fma(x, x, squares)
            power = fma(p.factor, squares, p.bias) ** p.exponent
            blocks(outputs)[index] = blocks(inputs)[index] * power
        for pixel in range(whole * LANES, p.pixels):
            sum_of_squares = float32(0)
            for neighbour in range(first, end):
                value = source[neighbour * p.pixels + pixel]
                sum_of_squares = fma(value, value, sum_of_squares)
            outputs[pixel] = inputs[pixel] * fma(p.factor, sum_of_squares, p.bias) ** p.exponent
