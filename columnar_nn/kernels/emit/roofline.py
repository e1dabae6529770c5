"""What a core can do at most: multiply-adds without memory, and memory without arithmetic.

No network needs these kernels: they measure the processor with the very vectors, instructions
and compiler settings of those that do.
"""

from __future__ import annotations

from columnar_nn.kernels.emit.emitter import FLOAT, Emitter, Value

ACCUMULATORS = 12
"""Independent sums: more than latency times units of any processor (5 x 2), and with two
operands still in the 16 registers of AVX2."""

UNROLL = 8
"""Vectors that a step of a loop over memory moves."""

TRIAD_FACTOR = 3.0
"""The scalar of STREAM's triad, as in its source."""


def multiply_adds(e: Emitter, repeats: Value, operands: Value, results: Value) -> None:
    """results[i] = a * results[i] + b, `repeats` times, in each lane of ACCUMULATORS vectors.

    `operands` are the float32 a and b.
    """
    a = e.splat(e.load(operands, FLOAT), e.width)
    b = e.splat(e.load(operands + 4, FLOAT), e.width)
    places = [results + 4 * e.width * index for index in range(ACCUMULATORS)]
    sums = [e.variable(e.load(place, e.vector)) for place in places]
    with e.loop(repeats):
        for total in sums:
            total.value = e.multiply_add(total.value, a, b)
    for place, total in zip(places, sums, strict=True):
        e.store(place, total.value)


def read(e: Emitter, repeats: Value, steps: Value, source: Value, target: Value) -> None:
    """Sums `steps` times UNROLL vectors from `source` into UNROLL vectors at `target`."""
    size = 4 * e.width
    sums = [e.variable(e.constant(e.vector, 0.0)) for _ in range(UNROLL)]
    with e.loop(repeats), e.loop(steps) as step:
        here = source + step * (size * UNROLL)
        for index, total in enumerate(sums):
            total.value = total.value + e.load(here + size * index, e.vector)
    for index, total in enumerate(sums):
        e.store(target + size * index, total.value)


def copy(e: Emitter, repeats: Value, steps: Value, source: Value, target: Value) -> None:
    """target = source, `steps` times UNROLL vectors."""
    size = 4 * e.width
    with e.loop(repeats), e.loop(steps) as step:
        offset = step * (size * UNROLL)
        for index in range(UNROLL):
            value = e.load(source + offset + size * index, e.vector)
            e.store(target + offset + size * index, value)


def triad(e: Emitter, repeats: Value, steps: Value, source: Value, target: Value) -> None:
    """target = first + 3 * second, `steps` times UNROLL vectors (STREAM's triad).

    Both sources lie one after the other.
    """
    size = 4 * e.width
    second = source + steps * (size * UNROLL)
    factor = e.constant(e.vector, TRIAD_FACTOR)
    with e.loop(repeats), e.loop(steps) as step:
        offset = step * (size * UNROLL)
        for index in range(UNROLL):
            place = offset + size * index
            a, b = e.load(source + place, e.vector), e.load(second + place, e.vector)
            e.store(target + place, e.multiply_add(b, factor, a))
