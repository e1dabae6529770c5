"""Reductions of an axis, and sums over neighbouring channels (LRN), of planar tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import (
    block,
    greatest_lane,
    least_lane,
    maximum,
    minimum,
    product_of_lanes,
    sum_of_lanes,
)
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import blocks, copy, share
from columnar_nn.kernels.parameters import Floats
from columnar_nn.kernels.primitives import fma
from columnar_nn.kernels.reduce import Normalization, Reduction


@inlined
def itself(x: Any) -> Any:
    """x."""
    return x


@inlined
def magnitude(x: Any) -> Any:
    """|x|."""
    return abs(x)


@inlined
def square(x: Any) -> Any:
    """x * x."""
    return x * x


@inlined
def add(x: Any, y: Any) -> Any:
    """x + y."""
    return x + y


@inlined
def mul(x: Any, y: Any) -> Any:
    """x * y."""
    return x * y


@inlined
def total(result: Any, length: int) -> Any:
    """What was combined, as it is."""
    return result


@inlined
def mean(result: Any, length: int) -> Any:
    """What was added up over the number of terms."""
    return result / float32(length)


@inlined
def root(result: Any, length: int) -> Any:
    """The root of what was added up."""
    return math.sqrt(result)


class Steps(NamedTuple):
    """A reduction: its neutral number, and what is done to each, to two, to lanes, at the end."""

    neutral: float
    each: Callable[..., Any]
    combine: Callable[..., Any]
    lanes: Callable[..., Any]
    finish: Callable[..., Any]


STEPS = {
    "sum": Steps(0.0, itself, add, sum_of_lanes, total),
    "mean": Steps(0.0, itself, add, sum_of_lanes, mean),
    "max": Steps(-math.inf, itself, maximum, greatest_lane, total),
    "min": Steps(math.inf, itself, minimum, least_lane, total),
    "prod": Steps(1.0, itself, mul, product_of_lanes, total),
    "l1": Steps(0.0, magnitude, add, sum_of_lanes, total),
    "l2": Steps(0.0, square, add, sum_of_lanes, root),
    "sum_square": Steps(0.0, square, add, sum_of_lanes, total),
}


@inlined
def neutral_blocks(number: float) -> tuple[Any, Any, Any, Any]:
    """Four blocks of a number, which chains start with."""
    return block(number), block(number), block(number), block(number)


def of_runs(operation: str) -> Callable[..., None]:
    """Rows of single floats, one after the other. Parts share the rows.

    A row is combined in four chains, for the next block of one would wait for its last: a greatest
    takes 8 cycles then.
    """
    neutral, each, combine, lanes, finish = STEPS[operation]

    def kernel(
        parameters: Reduction,
        source: Floats,
        target: Floats,
        scratch: Floats,
        part: int,
        parts: int,
    ) -> None:
        length = parameters.length
        whole = length // LANES
        fours, rest = whole // 4, length - whole * LANES
        for row in share(parameters.rows, part, parts):
            start = source + row * length
            values = blocks(start)
            first, second, third, last = neutral_blocks(neutral)
            for index in range(fours):
                first = combine(first, each(values[4 * index]))
                second = combine(second, each(values[4 * index + 1]))
                third = combine(third, each(values[4 * index + 2]))
                last = combine(last, each(values[4 * index + 3]))
            for index in range(4 * fours, whole):
                first = combine(first, each(values[index]))
            if rest:  # a block that is filled up with what changes nothing
                blocks(scratch)[0] = block(neutral)
                copy(scratch, start + whole * LANES, rest)
                second = combine(second, each(blocks(scratch)[0]))
            result = combine(combine(first, second), combine(third, last))
            target[row] = finish(lanes(result), length)

    return kernel


def of_lines(operation: str) -> Callable[..., None]:
    """Rows of lines, which are combined float by float. Parts share the groups of blocks of lines.

    Of four blocks that lie side by side each line is a run of memory, and each block a chain.
    """
    neutral, each, combine, _, finish = STEPS[operation]

    def kernel(
        parameters: Reduction,
        source: Floats,
        target: Floats,
        scratch: Floats,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        wide = 4 * LANES
        width = (p.inner + wide - 1) // wide
        for item in share(p.rows * width, part, parts):
            row, begin = item // width, item % width * wide
            start, place = source + row * p.length * p.inner + begin, target + row * p.inner + begin
            count = min(p.inner - begin, wide)
            if count == wide:
                first, second, third, last = neutral_blocks(neutral)
                for line in range(p.length):
                    values = blocks(start + line * p.inner)
                    first = combine(first, each(values[0]))
                    second = combine(second, each(values[1]))
                    third = combine(third, each(values[2]))
                    last = combine(last, each(values[3]))
                results = blocks(place)
                results[0] = finish(first, p.length)
                results[1] = finish(second, p.length)
                results[2] = finish(third, p.length)
                results[3] = finish(last, p.length)
                continue
            for index in range(count // LANES):
                result = block(neutral)
                for line in range(p.length):
                    values = blocks(start + line * p.inner)
                    result = combine(result, each(values[index]))
                blocks(place)[index] = finish(result, p.length)
            rest, done = count % LANES, count // LANES * LANES
            if rest:
                result = block(neutral)
                for line in range(p.length):
                    copy(scratch, start + line * p.inner + done, rest)
                    result = combine(result, each(blocks(scratch)[0]))
                blocks(scratch)[0] = finish(result, p.length)
                copy(place + done, scratch, rest)

    return kernel


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
