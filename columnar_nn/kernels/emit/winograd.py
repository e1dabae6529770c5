"""Winograd convolution F(m x m, 3 x 3): transform, multiply, transform back, a block of tiles
at a time.
"""

from __future__ import annotations

from typing import NamedTuple

from columnar_nn.kernels import host
from columnar_nn.kernels.emit import tile
from columnar_nn.kernels.emit.emitter import FLOAT, Emitter, Value
from columnar_nn.kernels.emit.winograd_transforms import input_transform, output_transform
from columnar_nn.kernels.host import LANES


def copy_window(
    e: Emitter,
    target: Value,
    source: Value,
    size: tuple[Value, Value],
    corner: tuple[Value, Value],
    side: int,
) -> None:
    """Copies side x side pixels of 64 bytes from a corner (y, x) on, zero outside the image."""
    height, width = size
    corner_y, corner_x = corner
    zero = e.word(0)
    first = e.greatest(zero, e.word(0) - corner_x)
    last = e.greatest(first, e.least(e.word(side), width - corner_x))
    with e.loop(e.word(side)) as row:
        line = target + row * (side * 64)
        y = corner_y + row
        e.clear(line, side * 64)
        with e.when((y >= 0) & (y < height)):
            here = source + (y * width + corner_x + first) * 64
            e.copy(line + first * 64, here, (last - first) * 64)


def multiply_rows(
    e: Emitter,
    rows: Value,
    left: Value,
    right: Value,
    blocks: Value,
    positions: int,
    target: Value,
) -> None:
    """For every position: target[row][16] = sum over channels of left[row][channel] *
    right[channel][16]. Positions lie a group's rows apart, input blocks all positions.
    """
    group_bytes = host.tile_pixels() * 64

    def emit(size: int) -> None:
        panel = e.variable(right)
        zeros = [e.constant(e.vector, 0.0)] * (LANES // e.width)
        with e.loop(e.word(positions)) as position:
            displacement = position * group_bytes
            sums = tile.tile_of(e, size, zeros)
            loops = ((blocks, e.word(positions * group_bytes)),)
            tile.add_channels(e, sums, 64, LANES, left + displacement, panel.value, loops)
            panel.value = panel.value + blocks * (LANES * 64)
            for places, slots in zip(tile.displacements(e, size), sums, strict=True):
                for place, slot in zip(places, slots, strict=True):
                    e.store(target + displacement + place, slot.value)

    e.switch(rows, tile.sizes(), emit)


class Sizes(NamedTuple):
    """The parameters, in order; filters are [filter block][position][channel][16]."""

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
    block_tiles: Value
    filters: Value
    bias: Value
    bounds: Value
    ragged_mask: Value


def _corner(sizes: Sizes, number: Value, m: int) -> tuple[Value, Value]:
    """The first output row and column of a tile."""
    tile_y = number // sizes.tiles_across
    return tile_y * m, (number - tile_y * sizes.tiles_across) * m


def _transform_tile(
    e: Emitter,
    m: int,
    sizes: Sizes,
    number: Value,
    source: Value,
    window: Value,
    target: Value,
    group_bytes: int,
) -> None:
    """V of all input blocks of a tile; where it leaves the image, from a window with zeros."""
    n = m + 2
    y, x = _corner(sizes, number, m)
    y, x = y - sizes.top, x - sizes.left
    inside = (y >= 0) & (x >= 0) & (y + n <= sizes.in_height) & (x + n <= sizes.in_width)
    row_bytes = inside.select(sizes.in_width * 64, e.word(n * 64))
    with e.loop(sizes.in_blocks) as block:
        plane = source + block * sizes.in_height * sizes.in_width * 64
        here = e.variable(plane + (y * sizes.in_width + x) * 64)
        with e.when(inside.equals(0)):
            copy_window(e, window, plane, (sizes.in_height, sizes.in_width), (y, x), n)
            here.value = window
        place = target + block * group_bytes
        input_transform(e, m, here.value, row_bytes, place, host.tile_pixels() * 64)


def _finish_tile(
    e: Emitter,
    m: int,
    sizes: Sizes,
    number: Value,
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
    y, x = _corner(sizes, number, m)
    inside = (y + m <= sizes.out_height) & (x + m <= sizes.out_width)
    row_bytes = inside.select(sizes.out_width * 64, e.word(m * 64))
    plane = block * sizes.out_height * sizes.out_width * 64
    here = plane + (y * sizes.out_width + x) * 64
    more = e.variable(residual.differs(0).select(residual + here, residual))
    with e.when(inside.equals(0) & residual.differs(0)):
        size = (sizes.out_height, sizes.out_width)
        copy_window(e, residual_window, residual + plane, size, (y, x), m)
        more.value = residual_window
    output_transform(
        e,
        m,
        products,
        host.tile_pixels() * 64,
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
        e.copy(place, window + line * (m * 64), width * 64)
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
    """Output tiles of m x m. Parts share the tiles or, where these would not fill a register tile
    for each, the filters, which then are read once. The parameters are Sizes.

    Tiles are transformed a block at a time and multiplied in groups of as many as a register
    tile has rows, P. Scratch: the window of a ragged tile, twice; M [position][P][16] of a
    group; V [group][input block][position][P][16] of a block.
    """
    sizes = Sizes(*e.load_words(parameters, len(Sizes._fields)))
    positions = (m + 2) ** 2
    most = host.tile_pixels()
    group_bytes = positions * most * 64
    windows = (scratch, scratch + positions * 64)
    products = scratch + 2 * positions * 64
    values = products + group_bytes

    tiles = sizes.tiles_down * sizes.tiles_across
    by_tiles = (tiles >= parts * most) | (sizes.filter_blocks < parts)
    (start, last), blocks = e.share_either(by_tiles, tiles, sizes.filter_blocks, part, parts)
    first = e.variable(start)
    number = e.variable(start)
    with e.loop_while(lambda: first.value < last):
        count = e.least(sizes.block_tiles, last - first.value)
        groups = (count + (most - 1)) // most
        smaller = count // groups
        larger = count - smaller * groups  # groups that take one tile more

        number.value = first.value
        with e.loop(groups) as group:
            place = values + group * sizes.in_blocks * group_bytes
            with e.loop(smaller + (group < larger).select(e.word(1), e.word(0))) as row:
                here = place + row * 64
                _transform_tile(e, m, sizes, number.value, source, windows[0], here, group_bytes)
                number.value = number.value + 1

        with e.loop(blocks[1], blocks[0]) as block:
            panel = sizes.filters + block * sizes.in_blocks * (positions * LANES * 64)
            number.value = first.value
            with e.loop(groups) as group:
                rows = smaller + (group < larger).select(e.word(1), e.word(0))
                left = values + group * sizes.in_blocks * group_bytes
                multiply_rows(e, rows, left, panel, sizes.in_blocks, positions, products)
                with e.loop(rows) as row:
                    _finish_tile(
                        e,
                        m,
                        sizes,
                        number.value,
                        block,
                        products + row * 64,
                        residual,
                        target,
                        windows,
                    )
                    number.value = number.value + 1
        first.value = first.value + count
