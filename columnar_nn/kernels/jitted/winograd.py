"""Winograd convolution F(m x m, 3 x 3): transform, multiply, transform back, a block of tiles
at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, sum_of_lanes
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.elementwise import apply_epilogue
from columnar_nn.kernels.jitted.emitter import Emitter, Value
from columnar_nn.kernels.jitted.memory import (
    POINTERS,
    bytes_,
    clear_lanes,
    integer,
    share_either,
    words,
)
from columnar_nn.kernels.jitted.tile import product_tile
from columnar_nn.kernels.jitted.winograd_transforms import input_transform, output_transform
from columnar_nn.kernels.parameters import BLOCK_BYTES, Blocks
from columnar_nn.kernels.primitives import where
from columnar_nn.kernels.tables import SPOILED_BYTES
from columnar_nn.kernels.winograd import Winograd, multiplications

TILE_PIXELS = host.tile_pixels()

FEWEST_TILES = 8
"""For each of several threads, to share the tiles: each then transforms its own only, and finds
much of its input in its own cache. Fewer tiles do not pay for reading all filters.
"""


def multiply(filter_blocks: int) -> Callable[..., None]:
    """For every position a product of matrices: target[block][row][16] = sum over channels of
    left[row][channel] * right[channel][block][16], one register tile of rows after the other.
    """
    tile = product_tile(filter_blocks)

    def kernel(
        positions: int,
        rows: int,
        in_blocks: int,
        left: Blocks,
        left_step: int,
        right: Blocks,
        target: Blocks,
        target_step: int,
        block_step: int,
    ) -> None:
        tiles = (rows + (TILE_PIXELS - 1)) // TILE_PIXELS
        smaller = rows // tiles
        larger = rows - smaller * tiles  # register tiles that take one row more
        for position in range(positions):
            here = left + position * left_step
            result = target + position * target_step
            for index in range(tiles):
                taken = smaller + (index < larger)
                tile(taken, here, right, result, in_blocks, block_step)
                here, result = here + taken, result + taken
            right = right + in_blocks * (LANES * filter_blocks)

    return kernel


def multiply_call() -> Any:
    """A function for kernels: the kernel `multiply` of so many blocks, called with the rest."""
    pointer = POINTERS["block"]
    step = (pointer, integer)

    @emitted(types.none(integer, integer, integer, integer, *step, pointer, *step, integer))
    def call(e: Emitter, filter_blocks: Value, *arguments: Value) -> None:
        for number, kernel in multiplications().items():
            with e.when(filter_blocks.equals(number)):
                e.call_kernel(kernel.file_name, *arguments)

    return call


@inlined
def copy_pixels(target: Blocks, source: Blocks, count: int) -> None:
    """Copies pixels; the C library's memcpy takes longer for as few as these."""
    for pixel in range(count):
        target[pixel] = source[pixel]


@inlined
def copy_window(
    window: Blocks, source: Blocks, height: int, width: int, y: int, x: int, side: int
) -> None:
    """Copies side x side pixels from (y, x) on, zero outside the image."""
    for pixel in range(side * side):
        window[pixel] = block(0.0)
    left = max(0, -x)
    count = min(side, width - x) - left
    for row in range(max(0, -y), min(side, height - y)):
        here = source + ((y + row) * width + x + left)
        copy_pixels(window + (row * side + left), here, count)


@inlined
def report_large(p: Winograd, source: Blocks, scratch: Blocks, first: int, end: int) -> None:
    """Writes 1 to the word SPOILED_BYTES before scratch if a pixel of rows `first` to `end` of the
    input has a greater magnitude than `most`, or is NaN.

    What other threads wrote of these rows comes into this core's cache by the way: in order, and
    thus in a third of the time that it would take window by window.
    """
    larger = block(0.0)
    start, count = max(0, first) * p.width, (min(p.height, end) - max(0, first)) * p.width
    for _ in range(p.in_blocks):
        for pixel in range(start, start + count):
            larger = where(abs(source[pixel]) <= p.most, larger, 1.0)
        source = source + p.height * p.width
    if sum_of_lanes(larger) > 0:
        words(bytes_(scratch) + -SPOILED_BYTES)[0] = 1


@inlined
def even_block(tiles: int, most: int) -> int:
    """Tiles of a block, of blocks of one size and at most so many; 1 if there are no tiles."""
    blocks_ = max(1, (tiles + most - 1) // most)
    return max(1, (tiles + blocks_ - 1) // blocks_)


@inlined
def odd(lines: int) -> int:
    """Cache lines of a position, an odd number, so that positions do not share cache sets."""
    return lines | 1


@inlined
def tile_after(p: Winograd, m: int, image: int, y: int, x: int) -> tuple[int, int, int]:
    """The image and the first output row and column of the tile after another."""
    if x + m < p.out_width:
        return image, y, x + m
    if y + m < p.out_height:
        return image, y + m, 0
    return image + 1, 0, 0


def tile_transform(m: int) -> Callable[..., None]:
    """A function for kernels: V of all input blocks of a tile."""
    n = m + 2
    transform = input_transform(m)

    @inlined
    def transform_tile(
        p: Winograd,
        y: int,
        x: int,
        source: Blocks,
        window: Blocks,
        target: Blocks,
        block_tiles: int,
        position_blocks: int,
    ) -> None:
        top, left = y - p.top, x - p.left
        inside = top >= 0 and left >= 0 and top + n <= p.height and left + n <= p.width
        for _ in range(p.in_blocks):
            if inside:
                here, width = source + (top * p.width + left), p.width
            else:
                copy_window(window, source, p.height, p.width, top, left, n)
                here, width = window, n
            transform(here, width, target, position_blocks)
            source = source + p.height * p.width
            target = target + block_tiles

    return transform_tile


def tile_finish(m: int) -> Callable[..., None]:
    """A function for kernels: one tile's 16 filters of output; where it leaves the image, by way of
    a window.
    """
    positions = (m + 2) ** 2
    transform = output_transform(m)

    @inlined
    def finish_tile(
        p: Winograd,
        y: int,
        x: int,
        which: int,
        products: Blocks,
        product_blocks: int,
        residual: Blocks,
        target: Blocks,
        scratch: Blocks,
    ) -> None:
        window, residual_window = scratch, scratch + positions
        inside = y + m <= p.out_height and x + m <= p.out_width
        plane = which * p.out_height * p.out_width
        here = plane + (y * p.out_width + x)
        goal, width = window, m
        if inside:
            goal, width = target + here, p.out_width
        more = residual + here if residual else residual
        if residual and not inside:
            copy_window(residual_window, residual + plane, p.out_height, p.out_width, y, x, m)
            more = residual_window
        bias = p.bias + which
        transform(products, product_blocks, bias, more, goal, width, p.low, p.high)
        lines, columns = min(m, p.out_height - y), min(m, p.out_width - x)
        is_last = which + 1 == p.filter_blocks
        apply_epilogue(p, goal, lines, columns, width, is_last, scratch)
        if not inside:
            for line in range(lines):
                copy_pixels(target + (here + line * p.out_width), window + line * m, columns)
        if p.ragged_mask and is_last:
            for line in range(lines):
                clear_lanes(target + (here + line * p.out_width), columns, p.ragged_mask)

    return finish_tile


def convolve(m: int) -> Callable[..., None]:
    """Output tiles of m x m, of all images of a group. Parts share the tiles or, if these are few,
    the filters, which are then read once. Where an input is not finite, or so large that what
    follows might overflow, that is reported: see `report_large`.

    Tiles are transformed a block of T at a time, blocks of one size, and multiplied with a panel of
    one or two blocks of 16 filters at a time, position by position: the panel's filters of a
    position stay in the first-level cache for all tiles. Scratch: the window of a ragged tile,
    twice; V [position][input block][T][16]; M [position][block][T][16] of a panel.
    """
    positions = (m + 2) ** 2
    transform, multiply_panel, finish = tile_transform(m), multiply_call(), tile_finish(m)

    def kernel(
        parameters: Winograd,
        source: Blocks,
        second: Blocks,
        target: Blocks,
        scratch: Blocks,
        part: int,
        parts: int,
        images: int,
        source_bytes: int,
        second_bytes: int,
        target_bytes: int,
    ) -> None:
        p = parameters
        source_step, second_step = source_bytes // BLOCK_BYTES, second_bytes // BLOCK_BYTES
        target_step = target_bytes // BLOCK_BYTES
        image_tiles = p.tiles_down * p.tiles_across
        tiles = images * image_tiles
        panels = p.filter_blocks // p.panel_blocks
        by_tiles = tiles >= parts * FEWEST_TILES or panels < parts
        first, last, first_panel, last_panel = share_either(by_tiles, tiles, panels, part, parts)
        for image in range(first // image_tiles, (last + image_tiles - 1) // image_tiles):
            top = max(first - image * image_tiles, 0) // p.tiles_across * m - p.top
            rest = min(last - image * image_tiles, image_tiles)
            end = (rest + p.tiles_across - 1) // p.tiles_across * m - p.top + 2
            report_large(p, source + image * source_step, scratch, top, end)
        block_tiles = even_block(last - first, p.block_tiles)
        position_blocks = odd(p.in_blocks * block_tiles)
        product_blocks = odd(p.panel_blocks * block_tiles)
        values = scratch + 2 * positions
        products = values + positions * position_blocks
        while first < last:
            count = min(block_tiles, last - first)
            begin = first // image_tiles
            top = first % image_tiles // p.tiles_across * m
            left = first % p.tiles_across * m
            image, y, x = begin, top, left
            for index in range(count):
                seen, place = source + image * source_step, values + index
                transform(p, y, x, seen, scratch, place, block_tiles, position_blocks)
                image, y, x = tile_after(p, m, image, y, x)
            for panel in range(first_panel, last_panel):
                filters = p.filters + panel * p.in_blocks * p.panel_blocks * (positions * LANES)
                multiply_panel(
                    p.panel_blocks,
                    positions,
                    count,
                    p.in_blocks,
                    values,
                    position_blocks,
                    filters,
                    products,
                    product_blocks,
                    block_tiles,
                )
                image, y, x = begin, top, left
                for index in range(count):
                    residual = second + image * second_step if second else second
                    goal = target + image * target_step
                    for b in range(p.panel_blocks):
                        which = panel * p.panel_blocks + b
                        place = products + (b * block_tiles + index)
                        finish(p, y, x, which, place, product_blocks, residual, goal, scratch)
                    image, y, x = tile_after(p, m, image, y, x)
            first += count

    return kernel
