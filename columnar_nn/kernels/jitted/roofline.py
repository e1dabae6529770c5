"""What a core can do at most: multiply-adds without memory, and memory without arithmetic.

No network needs these kernels: they measure the processor with the very vectors, instructions
and compiler settings of those that do.
"""

from __future__ import annotations

from numba import types

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, number
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, blocks, integer
from columnar_nn.kernels.parameters import FLOAT_BYTES, Floats
from columnar_nn.kernels.primitives import fma
from columnar_nn.kernels.roofline import ACCUMULATORS, TRIAD_FACTOR, UNROLL, step_floats

STEP_BLOCKS = step_floats() // LANES
"""Blocks that a step of a loop over memory moves: UNROLL vectors."""

_floats = POINTERS["float"]


@emitted(types.none(integer, number, number, _floats))
def repeat_multiply_adds(e: Emitter, repeats: Value, a: Value, b: Value, results: Value) -> None:
    """The register tile of `multiply_adds`."""
    factor, offset = (e.splat(value, e.width) for value in (a, b))
    places = [results + FLOAT_BYTES * e.width * index for index in range(ACCUMULATORS)]
    sums = [e.variable(e.load(place, e.vector)) for place in places]
    with e.loop(repeats):
        for total in sums:
            total.value = e.multiply_add(total.value, factor, offset)
    for place, total in zip(places, sums, strict=True):
        e.store(place, total.value)


def multiply_adds(repeats: int, operands: Floats, results: Floats) -> None:
    """results[i] = a * results[i] + b, `repeats` times, in each lane of ACCUMULATORS vectors.

    `operands` are the float32 a and b.
    """
    repeat_multiply_adds(repeats, operands[0], operands[1], results)


@emitted(types.none(integer, integer, _floats, _floats))
def sum_vectors(e: Emitter, repeats: Value, steps: Value, source: Value, target: Value) -> None:
    """The register tile of `read`."""
    size = FLOAT_BYTES * e.width
    sums = [e.variable(e.constant(e.vector, 0.0)) for _ in range(UNROLL)]
    with e.loop(repeats), e.loop(steps) as step:
        here = source + step * (size * UNROLL)
        for index, total in enumerate(sums):
            total.value = total.value + e.load(here + size * index, e.vector)
    for index, total in enumerate(sums):
        e.store(target + size * index, total.value)


def read(repeats: int, steps: int, source: Floats, target: Floats) -> None:
    """Sums `steps` times UNROLL vectors from `source` into UNROLL vectors at `target`."""
    sum_vectors(repeats, steps, source, target)


def copy(repeats: int, steps: int, source: Floats, target: Floats) -> None:
    """target = source, `steps` times UNROLL vectors."""
    inputs, outputs = blocks(source), blocks(target)
    for _ in range(repeats):
        for index in range(steps * STEP_BLOCKS):
            outputs[index] = inputs[index]


def triad(repeats: int, steps: int, source: Floats, target: Floats) -> None:
    """target = first + 3 * second, `steps` times UNROLL vectors (STREAM's triad).

    Both sources lie one after the other.
    """
    first, outputs = blocks(source), blocks(target)
    second, factor = first + steps * STEP_BLOCKS, block(TRIAD_FACTOR)
    for _ in range(repeats):
        for index in range(steps * STEP_BLOCKS):
            outputs[index] = fma(second[index], factor, first[index])
