"""Elements of a planar tensor in other places: loops for every operator that only moves them."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, first_halves, second_halves
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import blocks, copy, share
from columnar_nn.kernels.jitted.transpose import transpose
from columnar_nn.kernels.parameters import Floats
from columnar_nn.kernels.rearrange import Interleaved, Rearranged, Transposed


def rearrange(order: str) -> Callable[..., None]:
    """Moves elements. Parts share the rows.

    `order` is how those of a row lie in the input: in "runs", all in the "same" place, or in "any"
    way.
    """
    are_runs, are_same = order == "runs", order == "same"

    def kernel(
        parameters: Rearranged, source: Floats, target: Floats, part: int, parts: int
    ) -> None:
        p = parameters
        for row in share(p.num_rows, part, parts):
            start = p.rows[row]
            goal = target + row * p.num_columns * p.length
            if are_runs:
                for column in range(p.num_columns):
                    offset, place = start + p.columns[column], goal + column * p.length
                    if offset >= 0:
                        copy_run(place, source + offset, p.length)
                    else:
                        repeat(place, p.fill, p.length)
            elif are_same:
                value = source[max(start, 0) + p.columns[0]]
                repeat(goal, value if start >= 0 else p.fill, p.num_columns)
            else:
                for column in range(p.num_columns):
                    offset = start + p.columns[column]
                    value = source[max(offset, 0)]  # any will do where it is not used
                    goal[column] = value if offset >= 0 else p.fill

    return kernel


@inlined
def copy_run(target: Floats, source: Floats, count: int) -> None:
    """Copies floats, which are often too few to be worth a call of memcpy."""
    done = count // LANES * LANES
    for index in range(count // LANES):
        blocks(target)[index] = blocks(source)[index]
    if count % 16 >= 8:
        copy(target + done, source + done, 8)
        done += 8
    if count % 8 >= 4:
        copy(target + done, source + done, 4)
        done += 4
    for index in range(done, count):
        target[index] = source[index]


@inlined
def repeat(target: Floats, value: float, count: int) -> None:
    """A float so many times."""
    values = block(value)
    for index in range(count // LANES):
        blocks(target)[index] = values
    for index in range(count // LANES * LANES, count):
        target[index] = value


@inlined
def interleave(target: Floats, first: Floats, second: Floats, count: int) -> None:
    """So many floats of two runs, by turns."""
    whole = count // LANES
    for index in range(whole):
        a, b = blocks(first)[index], blocks(second)[index]
        blocks(target)[2 * index] = first_halves(a, b)
        blocks(target)[2 * index + 1] = second_halves(a, b)
    for index in range(whole * LANES, count):
        target[2 * index] = first[index]
        target[2 * index + 1] = second[index]


def interleaved(
    parameters: Interleaved, source: Floats, target: Floats, part: int, parts: int
) -> None:
    """Rows of pairs of runs, interleaved. Parts share the rows."""
    p = parameters
    for row in share(p.num_rows, part, parts):
        first = source + p.rows[row]
        interleave(target + 2 * row * p.length, first, first + p.distance, p.length)


def transposed(
    parameters: Transposed, source: Floats, target: Floats, part: int, parts: int
) -> None:
    """Matrices transposed, 16 of their columns at a time. Parts share these."""
    rows, columns = parameters.rows, parameters.columns
    strips = (columns + LANES - 1) // LANES
    for strip in share(parameters.matrices * strips, part, parts):
        first, start = strip % strips * LANES, strip // strips * rows * columns
        inputs, outputs = source + (start + first), target + (start + first * rows)
        width, done = min(LANES, columns - first), 0
        if width == LANES:
            done = rows // LANES * LANES
            for square in range(rows // LANES):
                row = square * LANES
                transpose(outputs + row, rows, inputs + row * columns, columns)
        for column in range(width):
            for row in range(done, rows):
                outputs[column * rows + row] = inputs[row * columns + column]
