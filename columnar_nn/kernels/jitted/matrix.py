"""Products of planar matrices: some rows by 16 or 32 columns of the result in registers."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.kernels import host
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import clear, copy
from columnar_nn.kernels.jitted.tile import matrix_tile
from columnar_nn.kernels.matrix import PANEL, Products
from columnar_nn.kernels.parameters import Floats

ROWS = host.tile_rows()


@inlined
def copy_panel(target: Floats, columns: Floats, inner: int, width: int, distance: int) -> None:
    """The columns of a matrix, `distance` floats from row to row, with zeros up to a panel."""
    for k in range(inner):
        copy(target + k * PANEL, columns + k * distance, width)
        clear(target + (k * PANEL + width), PANEL - width)


def product(constant: str) -> Callable[..., None]:
    """output[p] = left[p] times right[p] for each product p. Parts share the rows of all.

    `constant` says which operand is: "left" or "right", the input being the other one, or
    "neither". Columns that are computed are copied to scratch, a panel at a time, so that they lie
    side by side: from row to row of a matrix they fall on few lines of the cache.
    """
    left_is_constant, right_is_constant = constant == "left", constant == "right"
    tile = matrix_tile(PANEL)

    def kernel(
        parameters: Products,
        source: Floats,
        second: Floats,
        target: Floats,
        scratch: Floats,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        left = p.constant if left_is_constant else source
        right = p.constant if right_is_constant else source if left_is_constant else second
        rows = p.products * p.rows
        begin, end = rows * part // parts, rows * (part + 1) // parts
        width = min(p.columns, PANEL)
        results = scratch + p.inner * PANEL
        while begin < end:
            number = begin // p.rows
            stop = min((number + 1) * p.rows, end)
            matrix = right + p.right_offsets[number]
            first = left + (p.left_offsets[number] + (begin - number * p.rows) * p.inner)
            for index in range(p.panels):
                column = max(min(index * PANEL, p.columns - PANEL), 0)
                if right_is_constant:
                    panel = matrix + index * p.inner * PANEL
                else:
                    panel = scratch
                    copy_panel(panel, matrix + column, p.inner, width, p.columns)
                row = first
                goal = target + (begin * p.columns + column)
                left_rows = stop - begin
                while left_rows > 0:
                    taken = min(left_rows, ROWS)
                    if p.columns < PANEL:
                        tile(taken, row, panel, results, p.inner, PANEL)
                        for r in range(taken):
                            copy(goal + r * p.columns, results + r * PANEL, p.columns)
                    else:
                        tile(taken, row, panel, goal, p.inner, p.columns)
                    row = row + taken * p.inner
                    goal = goal + taken * p.columns
                    left_rows -= taken
            begin = stop

    return kernel
