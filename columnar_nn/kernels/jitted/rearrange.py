"""Elements of a planar tensor in other places: loops for every operator that only moves them."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, first_halves, second_halves
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import blocks, copy, share
from columnar_nn.kernels.parameters import Floats
from columnar_nn.kernels.rearrange import Interleaved, Rearranged


def rearrange(order: str) -> Callable[..., None]:
    """Moves elements. Parts share the rows.

    `order` is how the columns of a row lie in the input: "run", one after the other, or "same", all
    in one place, so that only the first one is looked up; or "any" way.
    """
    is_run, is_same = order == "run", order == "same"

    def kernel(
        parameters: Rearranged, source: Floats, target: Floats, part: int, parts: int
    ) -> None:
        p = parameters
        for row in share(p.num_rows, part, parts):
            start = p.rows[row]
            goal = target + row * p.num_columns
            if is_run and start >= 0:
                copy(goal, source + (start + p.columns[0]), p.num_columns)
            elif is_same and start >= 0:
                repeat(goal, source[start + p.columns[0]], p.num_columns)
            else:
                for column in range(p.num_columns):
                    offset = start + p.columns[column]
                    value = source[max(offset, 0)]  # any will do where it is not used
                    goal[column] = value if offset >= 0 else p.fill

    return kernel


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
