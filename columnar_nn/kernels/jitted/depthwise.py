"""Depthwise convolution: tiles of output pixels whose sums stay in registers over all taps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.depthwise import Depthwise, Tiling
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import number
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.elementwise import apply_epilogue
from columnar_nn.kernels.jitted.emitter import Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, blocks, clear_lanes, integer, share
from columnar_nn.kernels.jitted.tile import store_tile
from columnar_nn.kernels.parameters import BLOCK_BYTES, FLOAT_BYTES, Blocks, Floats

ROWS = host.depthwise_rows()

EDGES = "ilro"
"""Kinds of tile by their numbers: see `depthwise.Tiling`."""

_pixels = POINTERS["block"]


def depthwise_tile(*constants: Any) -> Any:
    """A function for kernels that computes a tile of up to `ROWS` rows of a depthwise convolution.

        tile(rows, edge, top, height, ring, source, line, filters, bias, residual, target, out_line,
             low, high)

    `source` is where the tile's first column lies in the image's first row, `top` the row of its
    first tap; rows are `line` pixels apart in the input and `out_line` in residual and target. Rows
    outside of the image's `height` are zeros, and are skipped. Row y lies at y & ring: all do if
    that is -1, the last 8 if it is 7.

    A value that is loaded is multiplied for all pixels of the tile that see it, and the weights of
    a filter's row stay in registers meanwhile.
    """
    tiling = Tiling(*constants)
    outputs = (_pixels, _pixels, _pixels, integer, number, number)

    @emitted(types.none(*[integer] * 5, _pixels, integer, _pixels, *outputs))
    def tile(
        e: Emitter,
        rows: Value,
        edge: Value,
        top: Value,
        height: Value,
        ring: Value,
        source: Value,
        line: Value,
        filters: Value,
        bias: Value,
        residual: Value,
        target: Value,
        out_line: Value,
        low: Value,
        high: Value,
    ) -> None:
        line_bytes, out_bytes = line * BLOCK_BYTES, out_line * BLOCK_BYTES

        def emit(case: int) -> None:
            count, kind = case // len(EDGES), EDGES[case % len(EDGES)]
            with e.loop(e.word(LANES // e.width)) as part:
                offset = part * (e.width * FLOAT_BYTES)
                start = e.load(bias + offset, e.vector)
                sums = [[e.variable(start) for _ in range(tiling.columns)] for _ in range(count)]
                for row in range((count - 1) * tiling.stride_y + tiling.height):
                    y = top + row
                    with e.when((y >= 0) & (y < height)):
                        here = source + (y & ring) * line_bytes + offset
                        _add_row(e, tiling, kind, row, sums, here, filters + offset)
                results = [
                    (index, BLOCK_BYTES * column, slot.value)
                    for index, slots in enumerate(sums)
                    for column, slot in enumerate(slots)
                ]
                given = residual.differs(0).select(residual + offset, residual)
                store_tile(e, results, given, target + offset, out_bytes, low, high)

        sizes = (ROWS, 1) if tiling.odd and ROWS > 1 else (ROWS,)
        cases = [size * len(EDGES) + EDGES.index(kind) for size in sizes for kind in tiling.edges]
        e.switch(rows * len(EDGES) + edge, cases, emit)

    return tile


def _add_row(
    e: Emitter,
    tiling: Tiling,
    kind: str,
    row: int,
    sums: list[list[Any]],
    source: Value,
    filters: Value,
) -> None:
    """Adds the products of a row of the input that a tile sees."""
    row_bytes = tiling.width * BLOCK_BYTES
    seeing = {}  # by row of the tile: the weights of the filter's row that lies on this one
    for index in range(len(sums)):
        tap = row - index * tiling.stride_y
        if 0 <= tap < tiling.height:
            seeing[index] = [
                e.load(filters + (tap * row_bytes + x * BLOCK_BYTES), e.vector)
                for x in range(tiling.width)
            ]
    values = {index: [slot.value for slot in sums[index]] for index in seeing}
    width = (tiling.columns - 1) * tiling.stride_x + tiling.width
    first = tiling.left if kind in "lo" else 0
    for x in range(first, width - (tiling.right if kind in "ro" else 0)):
        taps = [(column, x - column * tiling.stride_x) for column in range(tiling.columns)]
        taps = [(column, tap) for column, tap in taps if 0 <= tap < tiling.width]
        if not taps:
            continue
        pixel = e.load(source + x * BLOCK_BYTES, e.vector)
        for index, weights in seeing.items():
            for column, tap in taps:
                total = values[index][column]
                values[index][column] = e.multiply_add(pixel, weights[tap], total)
    for index, totals in values.items():
        for slot, total in zip(sums[index], totals, strict=True):
            slot.value = total


def depthwise_strip(*constants: Any) -> Callable[..., None]:
    """A function for kernels: a block's rows of output from row y on, at most ROWS, by tiles.

        strip(p, b, y, source, ring, residual, target)

    `source` is where the block's row 0 lies (see `depthwise_tile`), residual and target where row y
    does.
    """
    tiling = Tiling(*constants)
    tile = depthwise_tile(*constants)
    taps = tiling.height * tiling.width
    stride_y, stride_x, columns = tiling.stride_y, tiling.stride_x, tiling.columns
    left = tiling.left

    @inlined
    def strip(
        p: Depthwise, b: int, y: int, source: Blocks, ring: int, residual: Blocks, target: Blocks
    ) -> None:
        rows = min(ROWS, p.out_height - y)
        for index in range(p.tiles):
            x = min(index * columns, p.out_width - columns)
            tile(
                rows,
                (index == 0) + 2 * (index + 1 == p.tiles),
                y * stride_y - p.top,
                p.height,
                ring,
                source + (x * stride_x - left),
                p.width,
                p.weights + b * taps,
                p.bias + b,
                residual + x if residual else residual,
                target + x,
                p.out_width,
                p.low,
                p.high,
            )

    made: Callable[..., None] = strip
    return made


@inlined
def finish(p: Any, target: Blocks, pixels: int, is_last: bool, scratch: Blocks) -> None:
    """The epilogue of a layer's record and its mask, on consecutive pixels of a block."""
    apply_epilogue(p, target, 1, pixels, pixels, is_last, scratch)
    if p.ragged_mask and is_last:
        clear_lanes(target, pixels, p.ragged_mask)


def depthwise(*constants: Any) -> Callable[..., None]:
    """Strips of the rows of all blocks, which parts share."""
    strip = depthwise_strip(*constants)

    def kernel(
        parameters: Depthwise,
        source: Blocks,
        second: Blocks,
        target: Blocks,
        scratch: Floats,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        strips = (p.out_height + (ROWS - 1)) // ROWS
        for item in share(p.blocks * strips, part, parts):
            b, y = item // strips, item % strips * ROWS
            begin = (b * p.out_height + y) * p.out_width
            residual = second + begin if second else second
            strip(p, b, y, source + b * p.height * p.width, -1, residual, target + begin)
            pixels = min(ROWS, p.out_height - y) * p.out_width
            finish(p, target + begin, pixels, b + 1 == p.blocks, blocks(scratch))

    return kernel
