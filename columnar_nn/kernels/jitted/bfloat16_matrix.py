"""Rows of float32 by a constant matrix in bfloat16: rows rounded, a few by 32 columns at a time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.bfloat16_matrix import PANEL, TILES, NarrowProducts
from columnar_nn.kernels.bfloat16_product import DEPTH, TILE_BYTES
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.accumulators import AHEAD_BYTES, sizes
from columnar_nn.kernels.jitted.bfloat16_lanes import narrowed
from columnar_nn.kernels.jitted.bfloat16_product import store_narrowed
from columnar_nn.kernels.jitted.bfloat16_vectors import sums_of_steps
from columnar_nn.kernels.jitted.blocks import number
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.elementwise import apply_epilogue
from columnar_nn.kernels.jitted.emitter import BLOCK, FLOAT, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, blocks, clear, integer
from columnar_nn.kernels.parameters import BLOCK_BYTES, FLOAT_BYTES, Bytes, Floats

TILE_ROWS = host.tile_pixels()

raw, words, of_float = POINTERS["byte"], POINTERS["word"], POINTERS["float"]


@emitted(types.none(raw, of_float, integer))
def round_row(e: Emitter, target: Value, source: Value, length: Value) -> None:
    """So many float32 as bfloat16."""
    whole = length // LANES
    with e.loop(whole) as index:
        value = e.load(source + index * BLOCK_BYTES, BLOCK)
        store_narrowed(e, target + index * (2 * LANES), [value], LANES, by_instruction=True)
    one = ir.VectorType(FLOAT, 1)
    with e.loop(length - whole * LANES) as index:
        item = whole * LANES + index
        value = e.load(source + item * FLOAT_BYTES, one)
        e.store(target + item * 2, narrowed(e, value, by_instruction=True), 2)


def product_tile() -> Any:
    """A function for kernels: a few rows of results for a panel of columns.

    tile(rows, source, row_bytes, matrix, offsets, steps, bias, residual, target, distance,
         low, high)

    Rows of residual, if there is one, and target are `distance` floats apart.
    """
    given = (integer, raw, integer, raw, words, integer, of_float, of_float, of_float, integer)

    @emitted(types.none(*given, number, number))
    def tile(
        e: Emitter,
        rows: Value,
        source: Value,
        row_bytes: Value,
        matrix: Value,
        offsets: Value,
        steps: Value,
        bias: Value,
        residual: Value,
        target: Value,
        distance: Value,
        low: Value,
        high: Value,
    ) -> None:
        lowest, highest = e.splat(low, LANES), e.splat(high, LANES)
        starts = range(0, FLOAT_BYTES * PANEL, BLOCK_BYTES)

        def emit(size: int) -> None:
            first = [e.load(bias + start, BLOCK) for start in starts]
            sums = sums_of_steps(
                *(e, size, first, DEPTH // 2, source, row_bytes, matrix, offsets, steps),
                ahead=AHEAD_BYTES,
            )
            places = [
                [distance * (FLOAT_BYTES * row) + start for start in starts] for row in range(size)
            ]
            slots = [[e.variable(value) for value in row] for row in sums]
            with e.when(residual.differs(0)):
                for row, here in zip(slots, places, strict=True):
                    for slot, place in zip(row, here, strict=True):
                        slot.value = slot.value + e.load(residual + place, BLOCK)
            for row, here in zip(slots, places, strict=True):
                for slot, place in zip(row, here, strict=True):
                    e.store(target + place, e.clamp(slot.value, lowest, highest))

        e.switch(rows, sizes(), emit)

    return tile


@inlined
def finish_rows(p: NarrowProducts, target: Floats, rows: int, scratch: Bytes) -> None:
    """Applies the epilogue, if there is one, to a panel of so many rows."""
    if not p.epilogue:
        return
    if p.columns % LANES == 0:
        lines = blocks(target)
        apply_epilogue(p, lines, rows, PANEL // LANES, p.columns // LANES, False, blocks(scratch))
    else:
        for row in range(rows):
            line = blocks(target + row * p.columns)
            apply_epilogue(p, line, 1, PANEL // LANES, PANEL // LANES, False, blocks(scratch))


multiply = product_tile()


def product(
    parameters: NarrowProducts,
    source: Floats,
    second: Floats,
    target: Floats,
    scratch: Bytes,
    part: int,
    parts: int,
) -> None:
    """Parts share the rows. Scratch: what an epilogue takes; rounded rows."""
    p = parameters
    begin, end = p.rows * part // parts, p.rows * (part + 1) // parts
    narrow = scratch + 2 * PANEL * FLOAT_BYTES
    panel_bytes = p.steps * (PANEL // LANES * TILE_BYTES)
    while begin < end:
        taken = min(end - begin, TILES * TILE_ROWS)
        for row in range(taken):
            here = narrow + row * p.row_bytes
            round_row(here, source + (begin + row) * p.inner, p.inner)
            clear(here + 2 * p.inner, p.row_bytes - 2 * p.inner)
        tiles = (taken + (TILE_ROWS - 1)) // TILE_ROWS
        for panel in range(p.panels):
            column = min(panel * PANEL, p.columns - PANEL)
            place = begin * p.columns + column
            for tile in range(tiles):
                first, last = taken * tile // tiles, taken * (tile + 1) // tiles
                goal = place + first * p.columns
                multiply(
                    last - first,
                    narrow + first * p.row_bytes,
                    p.row_bytes,
                    p.matrix + panel * panel_bytes,
                    p.offsets,
                    p.steps,
                    p.bias + panel * PANEL,
                    second + goal if second else second,
                    target + goal,
                    p.columns,
                    p.low,
                    p.high,
                )
            finish_rows(p, target + place, taken, scratch)
        begin += taken
