"""Winograd convolution F(m x m, 3 x 3): transform, multiply, transform back, a block of tiles
at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from llvmlite import ir

from columnar_nn.kernels import host
from columnar_nn.kernels.emit import tile
from columnar_nn.kernels.emit.emitter import BLOCK, FLOAT, INT32, WORD, Emitter, Value, Variable
from columnar_nn.kernels.emit.winograd_transforms import input_transform, output_transform
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.tables import SPOILED_BYTES
from columnar_nn.kernels.winograd import multiplications


def copy_window(
    e: Emitter,
    target: Value,
    source: Value,
    size: tuple[Value, Value],
    corner: Sequence[Value],
    side: int,
) -> None:
    """Copies side x side pixels of 64 bytes from a corner (y, x) on, zero outside the image."""
    bounds = []
    for start, extent in zip(corner, size, strict=True):
        first = e.greatest(e.word(0), e.word(0) - start)
        bounds.append((first, e.greatest(first, e.least(e.word(side), extent - start))))
    (top, bottom), (left, right) = bounds
    zero = e.constant(BLOCK, 0.0)
    for pixel in range(side * side):
        e.store(target + 64 * pixel, zero)
    with e.loop(bottom, top) as row:
        here = source + ((corner[0] + row) * size[1] + corner[1]) * 64
        copy_pixels(e, target + row * (side * 64), here, left, right)


def copy_pixels(e: Emitter, target: Value, source: Value, first: Value, last: Value) -> None:
    """Copies pixels of 64 bytes; the C library's memcpy takes longer for as few as these."""
    with e.loop(last, first) as pixel:
        e.store(target + pixel * 64, e.load(source + pixel * 64, BLOCK))


AHEAD_BYTES = 4096
"""How far ahead of their use filters are asked for: they come from beyond the first-level cache."""


def multiply(
    e: Emitter,
    positions: Value,
    rows: Value,
    in_blocks: Value,
    left: Value,
    left_bytes: Value,
    right: Value,
    target: Value,
    target_bytes: Value,
    block_bytes: Value,
    blocks: int,
) -> None:
    """For every position: target[block][row][16] = sum over channels of left[row][channel] *
    right[channel][block][16], the rows of a position one register tile after the other.

    Positions lie `left_bytes` and `target_bytes` apart, blocks of channels and of filters
    `block_bytes`.
    """
    most = host.tile_pixels()
    parts = (rows + (most - 1)) // most
    smaller = rows // parts
    larger = rows - smaller * parts  # register tiles that take one row more
    panel = e.variable(right)
    with e.loop(positions) as position:
        source = e.variable(left + position * left_bytes)
        result = e.variable(target + position * target_bytes)
        with e.loop(parts) as index:
            taken = smaller + (index < larger).select(e.word(1), e.word(0))

            def emit(size: int) -> None:
                zeros = [e.constant(e.vector, 0.0)] * (LANES * blocks // e.width)
                sums = tile.tile_of(e, size, zeros)
                loops = ((in_blocks, block_bytes),)
                tile.add_channels(e, sums, 64, LANES, source.value, panel.value, loops, AHEAD_BYTES)
                for block, place, value in tile.placed(e, tile.values(sums)):
                    e.store(result.value + block_bytes * block + place, value)

            e.switch(taken, tile.sizes(), emit)
            source.value = source.value + taken * 64
            result.value = result.value + taken * 64
        panel.value = panel.value + in_blocks * (LANES * 64 * blocks)


FEWEST_TILES = 8
"""For each of several threads, to share the tiles: each then transforms its own only, and finds
much of its input in its own cache. Fewer tiles do not pay for reading all filters.
"""


class Sizes(NamedTuple):
    """The parameters, in order; filters are [panel][position][channel][16 * blocks]."""

    in_blocks: Value
    in_height: Value
    in_width: Value
    filter_blocks: Value
    out_height: Value
    out_width: Value
    top: Value
    left: Value
    tiles_down: Value
    tiles_across: Value
    panel_blocks: Value
    block_tiles: Value
    position_bytes: Value
    product_bytes: Value
    filters: Value
    bias: Value
    bounds: Value
    ragged_mask: Value
    most_bits: Value


MAGNITUDE = 0x7FFFFFFF
"""Bits of a float32 but its sign: as integers they are in the order of magnitudes, NaN the most."""

CHECKED_FLOATS = 64
"""Floats that a step of `report_large` takes, a whole number of pixels."""


def report_large(
    e: Emitter, source: Value, first: Value, end: Value, most_bits: Value, report: Value
) -> None:
    """Writes 1 to the word at `report` if, of the pixels of 16 floats from `first` to `end`, one
    has a greater magnitude than a float32 of the bits `most_bits`, or is NaN.
    """
    kind = ir.VectorType(INT32, e.width)
    magnitude = e.of(ir.Constant(kind, [MAGNITUDE] * e.width))
    zero = e.of(ir.Constant(kind, [0] * e.width))
    slots = [e.variable(zero) for _ in range(0, CHECKED_FLOATS, e.width)]

    def look(address: Value, some: Sequence[Variable]) -> None:
        for index, slot in enumerate(some):
            bits = e.load(address + 4 * e.width * index, kind) & magnitude
            slot.value = e.greatest(slot.value, bits)

    a_step = CHECKED_FLOATS // LANES
    steps = (end - first) // a_step
    start = source + first * 64
    with e.loop(steps) as step:
        look(start + step * (4 * CHECKED_FLOATS), slots)
    with e.loop(end, first + steps * a_step) as pixel:
        look(source + pixel * 64, slots[: LANES // e.width])
    greatest = functools.reduce(e.greatest, [slot.value for slot in slots])
    bits = functools.reduce(e.greatest, [greatest.lane(index) for index in range(e.width)])
    with e.when(e.of(e.builder.sext(bits.ir, WORD)) > most_bits):
        e.store(report, e.word(1), 8)


@contextmanager
def _tiles(
    e: Emitter, sizes: Sizes, m: int, first: Value, count: Value
) -> Iterator[tuple[Value, Value, Value]]:
    """Runs its body with an index and the first output row and column of consecutive tiles."""
    row = first // sizes.tiles_across
    y, x = e.variable(row * m), e.variable((first - row * sizes.tiles_across) * m)
    with e.loop(count) as index:
        yield index, y.value, x.value
        following = x.value + m
        ends = following >= sizes.out_width
        y.value = ends.select(y.value + m, y.value)
        x.value = ends.select(0, following)


def _transform_tile(
    e: Emitter,
    m: int,
    sizes: Sizes,
    corner: Sequence[Value],
    source: Value,
    window: Value,
    target: Value,
) -> None:
    """V of all input blocks of a tile; where it leaves the image, from a window with zeros."""
    n = m + 2
    y, x = corner[0] - sizes.top, corner[1] - sizes.left
    inside = (y >= 0) & (x >= 0) & (y + n <= sizes.in_height) & (x + n <= sizes.in_width)
    row_bytes = inside.select(sizes.in_width * 64, e.word(n * 64))
    with e.loop(sizes.in_blocks) as block:
        plane = source + block * sizes.in_height * sizes.in_width * 64
        here = e.variable(plane + (y * sizes.in_width + x) * 64)
        with e.when(inside.equals(0)):
            copy_window(e, window, plane, (sizes.in_height, sizes.in_width), (y, x), n)
            here.value = window
        place = target + block * (sizes.block_tiles * 64)
        input_transform(e, m, here.value, row_bytes, place, sizes.position_bytes)


def _finish_tile(
    e: Emitter,
    m: int,
    sizes: Sizes,
    corner: Sequence[Value],
    block: Value,
    products: Value,
    residual: Value,
    target: Value,
    windows: tuple[Value, Value],
) -> None:
    """One tile's 16 filters of output; where it leaves the image, by way of a window."""
    window, residual_window = windows
    low = e.splat(e.load(sizes.bounds, FLOAT), e.width)
    high = e.splat(e.load(sizes.bounds + 4, FLOAT), e.width)
    y, x = corner
    inside = (y + m <= sizes.out_height) & (x + m <= sizes.out_width)
    row_bytes = inside.select(sizes.out_width * 64, e.word(m * 64))
    plane = block * sizes.out_height * sizes.out_width * 64
    here = plane + (y * sizes.out_width + x) * 64
    more = e.variable(residual.differs(0).select(residual + here, residual))
    with e.when(inside.equals(0) & residual.differs(0)):
        size = (sizes.out_height, sizes.out_width)
        copy_window(e, residual_window, residual + plane, size, corner, m)
        more.value = residual_window
    output_transform(
        e,
        m,
        products,
        sizes.product_bytes,
        sizes.bias + block * 64,
        more.value,
        inside.select(target + here, window),
        row_bytes,
        low,
        high,
    )
    height = e.least(e.word(m), sizes.out_height - y)
    width = e.least(e.word(m), sizes.out_width - x)
    with e.when(inside.equals(0)), e.loop(height) as line:
        place = target + here + line * sizes.out_width * 64
        copy_pixels(e, place, window + line * (m * 64), e.word(0), width)
    is_last = (block + 1).equals(sizes.filter_blocks)
    with e.when(sizes.ragged_mask.differs(0) & is_last), e.loop(height) as line:
        place = target + here + line * sizes.out_width * 64
        tile.clear_lanes(e, place, width, sizes.ragged_mask)


def convolve(
    e: Emitter,
    parameters: Value,
    source: Value,
    residual: Value,
    target: Value,
    scratch: Value,
    part: Value,
    parts: Value,
    m: int,
) -> None:
    """Output tiles of m x m. Parts share the tiles or, if these are few, the filters, which are
    then read once. The parameters are Sizes. Where an input is not finite, or so large that what
    follows might overflow, that is reported to the word SPOILED_BYTES before scratch.

    Tiles are transformed a block of T at a time and multiplied with a panel of one or two blocks of
    16 filters at a time, position by position: the panel's filters of a position stay in the
    first-level cache for all tiles. Scratch: the window of a ragged tile, twice; V [position]
    [input block][T][16]; M [position][block][T][16] of a panel.
    """
    sizes = Sizes(*e.load_words(parameters, len(Sizes._fields)))
    positions = (m + 2) ** 2
    windows = (scratch, scratch + positions * 64)
    values = scratch + 2 * positions * 64
    products = values + sizes.position_bytes * positions
    row_bytes = sizes.block_tiles * 64

    tiles = sizes.tiles_down * sizes.tiles_across
    blocks = sizes.panel_blocks
    panels = sizes.filter_blocks // blocks
    by_tiles = (tiles >= parts * FEWEST_TILES) | (panels < parts)
    (start, last), mine = e.share_either(by_tiles, tiles, panels, part, parts)
    pixels = sizes.in_blocks * sizes.in_height * sizes.in_width
    report_large(e, source, *e.share(pixels, part, parts), sizes.most_bits, scratch - SPOILED_BYTES)
    first = e.variable(start)
    with e.loop_while(lambda: first.value < last):
        count = e.least(sizes.block_tiles, last - first.value)
        with _tiles(e, sizes, m, first.value, count) as (index, *corner):
            place = values + index * 64
            _transform_tile(e, m, sizes, corner, source, windows[0], place)

        with e.loop(mine[1], mine[0]) as panel:
            filters = sizes.filters + panel * sizes.in_blocks * blocks * (positions * LANES * 64)
            arguments = (
                e.word(positions),
                count,
                sizes.in_blocks,
                values,
                sizes.position_bytes,
                filters,
                products,
                sizes.product_bytes,
                row_bytes,
            )
            for size, kernel in multiplications().items():
                with e.when(blocks.equals(size)):
                    e.call_kernel(kernel.file_name, *arguments)
            tiles_done = _tiles(e, sizes, m, first.value, count)
            with tiles_done as (index, *corner), e.loop(blocks) as block:
                place = products + block * row_bytes + index * 64
                where = panel * blocks + block
                _finish_tile(e, m, sizes, corner, where, place, residual, target, windows)
        first.value = first.value + count
