"""Winograd convolution F(4x4, 3x3) in bfloat16, as `winograd`: transform, multiply by vectors of
pairs, transform back, a block of tiles at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from llvmlite import ir
from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.bfloat16_product import TILE_BYTES, blocks_of
from columnar_nn.kernels.bfloat16_winograd import POSITIONS, SIDE, M, NarrowWinograd
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.accumulators import sizes
from columnar_nn.kernels.jitted.bfloat16_lanes import half_lanes
from columnar_nn.kernels.jitted.bfloat16_product import load_widened, store_narrowed
from columnar_nn.kernels.jitted.bfloat16_vectors import sums_of_steps
from columnar_nn.kernels.jitted.blocks import number
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.emitter import BLOCK, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, clear, copy, integer, share_either
from columnar_nn.kernels.jitted.winograd import FEWEST_TILES, even_block, odd, tile_after
from columnar_nn.kernels.jitted.winograd_transforms import input_rows, output_rows
from columnar_nn.kernels.parameters import BLOCK_BYTES, WORD_BYTES, Bytes
from columnar_nn.kernels.tables import SPOILED_BYTES
from columnar_nn.kernels.toom_cook import transform

TILE_PIXELS = host.tile_pixels()

HALF_BYTES = BLOCK_BYTES // 2
"""Of 16 bfloat16."""

SCANNED = 4
"""Blocks that a step of `report_large` takes, each with a maximum of its own."""

raw, words, of_block = POINTERS["byte"], POINTERS["word"], POINTERS["block"]


@emitted(types.none(raw, integer, integer, raw))
def report_large(e: Emitter, source: Value, blocks: Value, most: Value, scratch: Value) -> None:
    """Writes 1 to the word SPOILED_BYTES before scratch if one of so many blocks of 16 bfloat16
    has greater bits, its sign aside, than `most`: it is larger, or NaN.
    """
    kind = half_lanes(LANES)
    largest = [e.variable(e.of(ir.Constant(kind, [0] * LANES))) for _ in range(SCANNED)]
    whole = blocks // SCANNED

    def see(slot: Any, place: Value) -> None:
        slot.value = e.greatest(slot.value, e.load(place, kind, 2) & 0x7FFF)

    with e.loop(whole) as index:
        for number_, slot in enumerate(largest):
            see(slot, source + index * (SCANNED * HALF_BYTES) + HALF_BYTES * number_)
    with e.loop(blocks - whole * SCANNED) as index:
        see(largest[0], source + (whole * SCANNED + index) * HALF_BYTES)
    limit = e.splat(e.of(e.builder.trunc(most.ir, kind.element)), LANES)
    found = largest[0].value
    for slot in largest[1:]:
        found = e.greatest(found, slot.value)
    with e.when(e.any_lane(found > limit), likely=False):
        e.store(scratch - SPOILED_BYTES, e.word(1), WORD_BYTES)


@emitted(types.none(raw, integer, integer, integer, raw, integer))
def transform_input(
    e: Emitter,
    source: Value,
    line_bytes: Value,
    pixel_bytes: Value,
    blocks: Value,
    target: Value,
    position_bytes: Value,
) -> None:
    """V = B^T d B of a tile's pixels, of so many blocks of 16 channels.

    Half of the rows of the result at a time: as many vectors as there are registers.
    """
    matrices = transform(M, Fraction)
    with e.loop(blocks) as block:
        first, goal = source + block * HALF_BYTES, target + block * HALF_BYTES
        for index, pair in enumerate(matrices.pairs):
            group = [*pair, *matrices.alone[index :: len(matrices.pairs)]]
            lines: list[list[Value]] = [[] for _ in group]
            for x in range(SIDE):
                places = [first + line_bytes * y + pixel_bytes * x for y in range(SIDE)]
                results = input_rows(e, matrices, [load_widened(e, p, LANES) for p in places])
                for line, k in zip(lines, group, strict=True):
                    line.append(results[k])
            for line, k in zip(lines, group, strict=True):
                for j, value in enumerate(input_rows(e, matrices, line)):
                    place = goal + position_bytes * (k * SIDE + j)
                    store_narrowed(e, place, [value], LANES, by_instruction=True)


def multiply_tiles(pairs: int, width: int) -> Any:
    """A function for kernels: sums [tile][block] of a few tiles at a position, for a panel.

    multiply(tiles, source, pixel_bytes, filters, offsets, steps, sums)
    """
    blocks = blocks_of(width)

    @emitted(types.none(integer, raw, integer, raw, words, integer, raw))
    def multiply(
        e: Emitter,
        tiles: Value,
        source: Value,
        pixel_bytes: Value,
        filters: Value,
        offsets: Value,
        steps: Value,
        sums: Value,
    ) -> None:
        def emit(size: int) -> None:
            zeros = [e.constant(BLOCK, 0.0)] * blocks
            totals = sums_of_steps(
                e, size, zeros, pairs, source, pixel_bytes, filters, offsets, steps
            )
            values = [value for row in totals for value in row]
            for index, value in enumerate(values):
                e.store(sums + BLOCK_BYTES * index, value)

        e.switch(tiles, sizes(), emit)

    return multiply


def transform_output(width: int, residuals: int, ragged: int) -> Any:
    """A function for kernels: a tile's outputs of 16 filters, `lines` by `columns` of which are
    inside of the image. The mask is looked at if some panel is `ragged`.

        finish(sums, position_bytes, lines, columns, bias, mask, residual, target, line_bytes,
               pixel_bytes, low, high)
    """
    stored = min(width, LANES)
    given = (raw, integer, integer, integer, of_block, of_block, raw, raw, integer, integer)

    @emitted(types.none(*given, number, number))
    def finish(
        e: Emitter,
        sums: Value,
        position_bytes: Value,
        lines: Value,
        columns: Value,
        bias: Value,
        mask: Value,
        residual: Value,
        target: Value,
        line_bytes: Value,
        pixel_bytes: Value,
        low: Value,
        high: Value,
    ) -> None:
        matrices = transform(M, Fraction)
        lowest, highest = e.splat(low, LANES), e.splat(high, LANES)
        added, dropped = e.load(bias, BLOCK), e.load(mask, BLOCK) < 0.0

        def line(i: int) -> list[Value]:
            places = [sums + position_bytes * (i * SIDE + j) for j in range(SIDE)]
            return output_rows(e, matrices, [e.load(place, BLOCK) for place in places])

        by_column = zip(*map(line, range(SIDE)), strict=True)
        results = [output_rows(e, matrices, column) for column in by_column]

        def store(y: int, x: int) -> None:
            place = line_bytes * y + pixel_bytes * x
            value = results[x][y] + added
            if residuals:
                value = value + load_widened(e, residual + place, stored)
            value = e.clamp(value, lowest, highest)
            value = dropped.select(0.0, value) if ragged else value
            store_narrowed(e, target + place, [value], stored, by_instruction=True)

        for y in range(M):
            with e.when(lines > y):
                for x in range(M):
                    with e.when(columns > x):
                        store(y, x)

    return finish


@inlined
def copy_window(window: Bytes, source: Bytes, p: NarrowWinograd, y: int, x: int) -> None:
    """Copies the pixels of a tile that begins at (y, x), zero outside the image."""
    clear(window, SIDE * SIDE * p.pixel_bytes)
    left = max(0, -x)
    count = min(SIDE, p.width - x) - left
    if count > 0:
        for row in range(max(0, -y), min(SIDE, p.height - y)):
            here = source + ((y + row) * p.width + x + left) * p.pixel_bytes
            copy(window + (row * SIDE + left) * p.pixel_bytes, here, count * p.pixel_bytes)


@inlined
def transform_tile(
    p: NarrowWinograd,
    y: int,
    x: int,
    source: Bytes,
    window: Bytes,
    target: Bytes,
    position_bytes: int,
) -> None:
    """V of the tile of outputs that begins at (y, x)."""
    top, left = y - p.top, x - p.left
    here, line_bytes = source + (top * p.width + left) * p.pixel_bytes, p.width * p.pixel_bytes
    if top < 0 or left < 0 or top + SIDE > p.height or left + SIDE > p.width:
        copy_window(window, source, p, top, left)
        here, line_bytes = window, SIDE * p.pixel_bytes
    transform_input(here, line_bytes, p.pixel_bytes, p.blocks, target, position_bytes)


def convolve(pairs: int, width: int, residuals: int, ragged: int) -> Callable[..., None]:
    """Output tiles of 4 x 4, of all images of a group, as `winograd.convolve`.

    Scratch: the window of a ragged tile; V [position][tile][channel]; M [position][tile][filter] of
    a panel.
    """
    multiply, finish = multiply_tiles(pairs, width), transform_output(width, residuals, ragged)
    blocks = blocks_of(width)
    row_bytes = blocks * BLOCK_BYTES

    def kernel(
        parameters: NarrowWinograd,
        source: Bytes,
        second: Bytes,
        target: Bytes,
        scratch: Bytes,
        part: int,
        parts: int,
        images: int,
        source_bytes: int,
        second_bytes: int,
        target_bytes: int,
    ) -> None:
        p = parameters
        image_tiles = p.tiles_down * p.tiles_across
        tiles = images * image_tiles
        by_tiles = tiles >= parts * FEWEST_TILES or p.panels < parts
        first, last, first_panel, last_panel = share_either(by_tiles, tiles, p.panels, part, parts)
        for image in range(first // image_tiles, (last + image_tiles - 1) // image_tiles):
            top = max(first - image * image_tiles, 0) // p.tiles_across * M - p.top
            rest = min(last - image * image_tiles, image_tiles)
            end = (rest + p.tiles_across - 1) // p.tiles_across * M - p.top + (SIDE - M)
            top, end = max(top, 0), min(end, p.height)
            if top < end:
                seen = source + image * source_bytes + top * p.width * p.pixel_bytes
                report_large(seen, (end - top) * p.width * p.blocks, p.most, scratch)
        block_tiles = even_block(last - first, p.block_tiles)
        position_bytes = odd((block_tiles * p.pixel_bytes + BLOCK_BYTES - 1) // BLOCK_BYTES)
        position_bytes = position_bytes * BLOCK_BYTES
        product_bytes = odd(block_tiles * blocks) * BLOCK_BYTES
        values = scratch + POSITIONS * p.pixel_bytes
        products = values + POSITIONS * position_bytes
        while first < last:
            count = min(block_tiles, last - first)
            begin = first // image_tiles
            down = first % image_tiles // p.tiles_across * M
            across = first % p.tiles_across * M
            image, y, x = begin, down, across
            for index in range(count):
                seen, goal = source + image * source_bytes, values + index * p.pixel_bytes
                transform_tile(p, y, x, seen, scratch, goal, position_bytes)
                image, y, x = tile_after(p, M, image, y, x)
            groups = (count + (TILE_PIXELS - 1)) // TILE_PIXELS
            for panel in range(first_panel, last_panel):
                filters = p.filters + panel * POSITIONS * p.steps * (blocks * TILE_BYTES)
                for position in range(POSITIONS):
                    for group in range(groups):
                        start, stop = count * group // groups, count * (group + 1) // groups
                        multiply(
                            stop - start,
                            values + (position * position_bytes + start * p.pixel_bytes),
                            p.pixel_bytes,
                            filters + position * p.steps * (blocks * TILE_BYTES),
                            p.offsets,
                            p.steps,
                            products + (position * product_bytes + start * row_bytes),
                        )
                image, y, x = begin, down, across
                for index in range(count):
                    place = (y * p.out_width + x) * p.target_bytes + panel * p.panel_bytes
                    for b in range(blocks):
                        finish(
                            products + (index * row_bytes + b * BLOCK_BYTES),
                            product_bytes,
                            p.out_height - y,
                            p.out_width - x,
                            p.bias + (panel * blocks + b),
                            p.mask + (panel * blocks + b),
                            second + (image * second_bytes + place + b * HALF_BYTES),
                            target + (image * target_bytes + place + b * HALF_BYTES),
                            p.out_width * p.target_bytes,
                            p.target_bytes,
                            p.low,
                            p.high,
                        )
                    image, y, x = tile_after(p, M, image, y, x)
            first += count

    return kernel
