"""Winograd convolution F(m x m, 3 x 3): transform, multiply, transform back, a block of tiles
at a time.
"""

import numba

from columnar_nn.kernels import host
from columnar_nn.kernels.compiled.simd import clear_bytes, copy_bytes, load_float, word
from columnar_nn.kernels.compiled.tile import multiply_tile
from columnar_nn.kernels.compiled.winograd_transforms import input_transform, output_transform


@numba.njit(inline="always")
def copy_window(target, source, height, width, y, x, rows, columns):
    """Copies rows x columns pixels of 64 bytes from (y, x) on, zero outside the image."""
    first = max(0, -x)
    last = max(first, min(columns, width - x))
    for row in range(rows):
        line = target + row * columns * 64
        if y + row < 0 or y + row >= height:
            clear_bytes(line, columns * 64)
        else:
            clear_bytes(line, first * 64)
            here = source + ((y + row) * width + x + first) * 64
            copy_bytes(line + first * 64, here, (last - first) * 64)
            clear_bytes(line + last * 64, (columns - last) * 64)


def convolve(m: int):
    """The function for output tiles of m x m.

    Parameters: input blocks, height, width; filter blocks, output height, width; pads at top
    and left; tiles down and across; tiles a block; addresses of filters [filter block][position]
    [channel][16], bias and bounds. Scratch: the window of a ragged tile, twice; V [position]
    [input block][tile][16]; M [position][tile][16]. Parts share the tiles.
    """
    transform_input = input_transform(m)
    transform_output = output_transform(m)
    multiply = multiply_tile()
    most = host.tile_pixels()
    n = m + 2
    positions = n * n

    def kernel(parameters, source, residual, target, scratch, part, parts):
        in_blocks = word(parameters, 0)
        in_height = word(parameters, 1)
        in_width = word(parameters, 2)
        filter_blocks = word(parameters, 3)
        out_height = word(parameters, 4)
        out_width = word(parameters, 5)
        top = word(parameters, 6)
        left = word(parameters, 7)
        tiles_down = word(parameters, 8)
        tiles_across = word(parameters, 9)
        block_tiles = word(parameters, 10)
        filters = word(parameters, 11)
        bias = word(parameters, 12)
        low = load_float(word(parameters, 13))
        high = load_float(word(parameters, 13) + 4)

        window = scratch
        residual_window = window + positions * 64
        values = residual_window + positions * 64
        # an odd number of cache lines from position to position spreads them over the sets
        value_bytes = (in_blocks * block_tiles | 1) * 64
        products = values + positions * value_bytes
        product_bytes = (block_tiles | 1) * 64
        tile_step = block_tiles * 64

        tiles = tiles_down * tiles_across
        last = tiles * (part + 1) // parts
        first = tiles * part // parts
        while first < last:
            count = min(block_tiles, last - first)
            for index in range(count):
                tile_y = (first + index) // tiles_across
                y = tile_y * m - top
                x = (first + index - tile_y * tiles_across) * m - left
                inside = y >= 0 and x >= 0 and y + n <= in_height and x + n <= in_width
                for block in range(in_blocks):
                    plane = source + block * in_height * in_width * 64
                    place = values + (block * block_tiles + index) * 64
                    if inside:
                        here = plane + (y * in_width + x) * 64
                        row_bytes = in_width * 64
                    else:
                        copy_window(window, plane, in_height, in_width, y, x, n, n)
                        here = window
                        row_bytes = n * 64
                    transform_input(here, row_bytes, place, value_bytes)
            groups = (count + most - 1) // most
            size = count // groups
            larger = count - size * groups
            for block in range(filter_blocks):
                panel = filters + block * positions * in_blocks * 1024
                row = 0
                for group in range(groups):
                    rows = size + (1 if group < larger else 0)
                    for position in range(positions):
                        multiply(
                            rows,
                            values + position * value_bytes + row * 64,
                            panel + position * in_blocks * 1024,
                            in_blocks,
                            tile_step,
                            products + position * product_bytes + row * 64,
                        )
                    row += rows
                plane = block * out_height * out_width * 64
                for index in range(count):
                    tile_y = (first + index) // tiles_across
                    y = tile_y * m
                    x = (first + index - tile_y * tiles_across) * m
                    here = plane + (y * out_width + x) * 64
                    inside = y + m <= out_height and x + m <= out_width
                    row_bytes = out_width * 64
                    more = residual + here if residual else 0
                    place = target + here
                    if not inside:
                        if residual:
                            more = residual_window
                            start = residual + plane
                            copy_window(more, start, out_height, out_width, y, x, m, m)
                        place = window
                        row_bytes = m * 64
                    transform_output(
                        products + index * 64,
                        product_bytes,
                        bias + block * 64,
                        more,
                        place,
                        row_bytes,
                        low,
                        high,
                    )
                    if not inside:
                        width = min(m, out_width - x) * 64
                        for line in range(min(m, out_height - y)):
                            copy_bytes(
                                target + here + line * out_width * 64,
                                window + line * m * 64,
                                width,
                            )
            first += count

    return kernel
