"""Products of planar matrices: some rows by 16 or 32 columns of the result in registers."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.kernels import host
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.elementwise import apply_epilogue
from columnar_nn.kernels.jitted.matrix_tile import matrix_tile
from columnar_nn.kernels.jitted.memory import blocks, clear, copy
from columnar_nn.kernels.matrix import PANEL, Products
from columnar_nn.kernels.parameters import FLOAT_BYTES, Floats

ROWS = host.tile_rows()

LOW = 256
"""Rows of a panel whose follower is asked for ahead: layers of 192 rows take 0.91 of the time so.
Of 384 and more, which push each other out of the first-level cache, they take up to 3 times as
long.
"""


@inlined
def copy_panel(target: Floats, columns: Floats, inner: int, width: int, distance: int) -> None:
    """The columns of a matrix, `distance` floats from row to row, with zeros up to a panel."""
    for k in range(inner):
        copy(target + k * PANEL, columns + k * distance, width)
        clear(target + (k * PANEL + width), PANEL - width)


@inlined
def copy_rows(
    target: Floats, distance: int, source: Floats, step: int, rows: int, length: int
) -> None:
    """Copies so many floats of each row; rows begin `step` floats apart, there `distance`."""
    for row in range(rows):
        copy(target + row * distance, source + row * step, length)


@inlined
def finish_rows(p: Products, target: Floats, distance: int, rows: int, scratch: Floats) -> None:
    """Applies the epilogue of a layer, if there is one, to a panel of rows `distance` apart."""
    if not p.epilogue:
        return
    width = min(p.columns, PANEL)
    whole, done = width // LANES, width // LANES * LANES
    if distance % LANES == 0:
        apply_epilogue(p, blocks(target), rows, whole, distance // LANES, False, blocks(scratch))
    else:
        for row in range(rows):
            line = blocks(target + row * distance)
            apply_epilogue(p, line, 1, whole, whole, False, blocks(scratch))
    if width % LANES:
        line = blocks(target + done)
        apply_epilogue(p, line, rows, 1, distance // LANES, True, blocks(scratch))


def product(constant: str) -> Callable[..., None]:
    """output[p] = left[p] times right[p] for each product p. Parts share the rows of all.

    `constant` says which operand is: "left" or "right", the input being the other one, or
    "neither". Columns that are computed are copied to scratch, a panel at a time, so that they lie
    side by side: from row to row of a matrix they fall on few lines of the cache. With a constant
    right operand it is a layer, and the second input the residual, if there is one. While a low
    panel of a constant is used, the next one is asked for, a share of it by each tile.
    """
    left_is_constant, right_is_constant = constant == "left", constant == "right"
    tile = matrix_tile(PANEL, of_layer=right_is_constant)

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
        is_narrow = p.columns < PANEL
        results = scratch + p.inner * PANEL
        residuals = results + ROWS * PANEL
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
                bias = p.bias + index * PANEL if p.bias else p.bias
                ahead = panel + p.inner * PANEL
                tiles = (stop - begin + ROWS - 1) // ROWS
                pace = PANEL * FLOAT_BYTES // tiles if p.inner <= LOW else 0
                row = first
                place = begin * p.columns + column
                left_rows = stop - begin
                while left_rows > 0:
                    taken = min(left_rows, ROWS)
                    goal, distance = target + place, p.columns
                    added = second + place if second else second
                    if is_narrow:
                        if right_is_constant and second:
                            copy_rows(residuals, PANEL, added, p.columns, taken, p.columns)
                            added = residuals
                        goal, distance = results, PANEL
                    tile(
                        taken,
                        row,
                        panel,
                        ahead,
                        pace,
                        bias,
                        added,
                        goal,
                        p.inner,
                        distance,
                        p.low,
                        p.high,
                    )
                    ahead = ahead + p.inner * pace // FLOAT_BYTES
                    if right_is_constant:
                        finish_rows(p, goal, distance, taken, scratch)
                    if is_narrow:
                        copy_rows(target + place, p.columns, results, PANEL, taken, p.columns)
                    row = row + taken * p.inner
                    place += taken * p.columns
                    left_rows -= taken
            begin = stop

    return kernel
