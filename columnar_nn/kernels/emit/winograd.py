"""Winograd convolution F(m x m, 3 x 3): transform, multiply, transform back, a block of tiles
at a time.
"""

from __future__ import annotations

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
    step: Value,
    target: Value,
) -> None:
    """target[row][16] = sum over channels of left[row][channel] * right[channel][16].

    Rows lie 64 bytes apart; `left` advances `step` bytes after each 16 channels.
    """

    def emit(size: int) -> None:
        zeros = [e.constant(e.vector, 0.0)] * (LANES // e.width)
        sums = tile.tile_of(e, size, zeros)
        tile.add_channels(e, sums, 64, LANES, left, right, ((blocks, step),))
        for places, slots in zip(tile.displacements(e, size), sums, strict=True):
            for place, slot in zip(places, slots, strict=True):
                e.store(target + place, slot.value)

    e.switch(rows, tile.sizes(), emit)


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
    """Output tiles of m x m. Parts share the tiles.

    Parameters: input blocks, height, width; filter blocks, output height, width; pads at top
    and left; tiles down and across; tiles a block; addresses of filters [filter block][position]
    [channel][16], bias and bounds. Scratch: the window of a ragged tile, twice; V [position]
    [input block][tile][16]; M [position][tile][16].
    """
    (
        in_blocks,
        in_height,
        in_width,
        filter_blocks,
        out_height,
        out_width,
        top,
        left,
        tiles_down,
        tiles_across,
        block_tiles,
        filters,
        bias,
        bounds,
    ) = e.load_words(parameters, 14)
    low = e.splat(e.load(bounds, FLOAT), e.width)
    high = e.splat(e.load(bounds + 4, FLOAT), e.width)
    n = m + 2
    positions = n * n
    window = scratch
    residual_window = window + positions * 64
    values = residual_window + positions * 64
    # an odd number of cache lines from position to position spreads them over the sets
    value_bytes = (in_blocks * block_tiles | 1) * 64
    products = values + value_bytes * positions
    product_bytes = (block_tiles | 1) * 64
    tile_step = block_tiles * 64
    in_plane = in_height * in_width * 64
    out_plane = out_height * out_width * 64

    start, last = e.share(tiles_down * tiles_across, part, parts)
    first = e.variable(start)
    with e.loop_while(lambda: first.value < last):
        count = e.least(block_tiles, last - first.value)

        with e.loop(count) as index:
            number = first.value + index
            tile_y = number // tiles_across
            y = tile_y * m - top
            x = (number - tile_y * tiles_across) * m - left
            inside = (y >= 0) & (x >= 0) & (y + n <= in_height) & (x + n <= in_width)
            row_bytes = inside.select(in_width * 64, e.word(n * 64))
            with e.loop(in_blocks) as block:
                plane = source + block * in_plane
                here = e.variable(plane + (y * in_width + x) * 64)
                with e.when(inside.equals(0)):
                    copy_window(e, window, plane, (in_height, in_width), (y, x), n)
                    here.value = window
                place = values + (block * block_tiles + index) * 64
                input_transform(e, m, here.value, row_bytes, place, value_bytes)

        groups = (count + (host.tile_pixels() - 1)) // host.tile_pixels()
        smaller = count // groups
        larger = count - smaller * groups
        with e.loop(filter_blocks) as block:
            panel = filters + block * in_blocks * (positions * LANES * 64)
            row = e.variable(e.word(0))
            with e.loop(groups) as group:
                rows = smaller + (group < larger).select(e.word(1), e.word(0))
                displacement = row.value * 64
                with e.loop(e.word(positions)) as position:
                    multiply_rows(
                        e,
                        rows,
                        values + position * value_bytes + displacement,
                        panel + position * in_blocks * (LANES * 64),
                        in_blocks,
                        tile_step,
                        products + position * product_bytes + displacement,
                    )
                row.value = row.value + rows

            plane = block * out_plane
            with e.loop(count) as index:
                number = first.value + index
                tile_y = number // tiles_across
                y = tile_y * m
                x = (number - tile_y * tiles_across) * m
                inside = (y + m <= out_height) & (x + m <= out_width)
                row_bytes = inside.select(out_width * 64, e.word(m * 64))
                here = plane + (y * out_width + x) * 64
                more = e.variable(residual.differs(0).select(residual + here, residual))
                with e.when(inside.equals(0) & residual.differs(0)):
                    size = (out_height, out_width)
                    copy_window(e, residual_window, residual + plane, size, (y, x), m)
                    more.value = residual_window
                output_transform(
                    e,
                    m,
                    products + index * 64,
                    product_bytes,
                    bias + block * 64,
                    more.value,
                    inside.select(target + here, window),
                    row_bytes,
                    low,
                    high,
                )
                with e.when(inside.equals(0)):
                    width = e.least(e.word(m), out_width - x) * 64
                    with e.loop(e.least(e.word(m), out_height - y)) as line:
                        place = target + here + line * out_width * 64
                        e.copy(place, window + line * (m * 64), width)
        first.value = first.value + count
