"""Direct convolution: rows of output pixels, 16 filters at a time."""

import numba

from columnar_nn.kernels import host
from columnar_nn.kernels.compiled import simd
from columnar_nn.kernels.compiled.simd import clear_bytes, copy_bytes, load_float, word
from columnar_nn.kernels.compiled.tile import convolve_tile

WORD_NAMES = (
    "filter_blocks",
    "rows",  # of the output; of chunks of pixels where the filter is 1x1 and nothing is skipped
    "row_pixels",
    "total_pixels",
    "in_height",
    "in_width",
    "in_planes",
    "stride_y",
    "pad_top",
    "pad_left",
    "padded_width",  # 0: no padding, the input is read where it lies
    "band_rows",
    "filter_height",
    "filter_width",  # steps of the inner loop: taps of nchw16c, 1 of planar (taps are consecutive)
    "dilation_y",
    "dilation_x",
    "in_row_bytes",  # from an output row's first pixel to the next row's, in an unpadded input
    "filters",
    "bias",
    "bounds",
    "out_block_bytes",  # of the output, from a block of filters to the next
    "bias_block_bytes",
    "groups",  # address of (first plane, planes, byte offset of the filters) of a filter block
)


@numba.njit(inline="always")
def copy_band(source, target, planes, height, width, pixel_bytes, first, rows, left, padded_width):
    """Copies `rows` rows of every plane from row `first` on, with zeros around the image."""
    row_bytes = width * pixel_bytes
    padded_bytes = padded_width * pixel_bytes
    left_bytes = left * pixel_bytes
    for plane in range(planes):
        for row in range(rows):
            place = target + (plane * rows + row) * padded_bytes
            y = first + row
            if y < 0 or y >= height:
                clear_bytes(place, padded_bytes)
            else:
                copied = min(row_bytes, padded_bytes - left_bytes)
                clear_bytes(place, left_bytes)
                copy_bytes(place + left_bytes, source + (plane * height + y) * row_bytes, copied)
                clear_bytes(place + left_bytes + copied, padded_bytes - left_bytes - copied)


def convolve(kind: str, pixel_bytes: int, inner: int, stride_x: int):
    """The function of a kind of tile (`tile.convolve_tile`), for an input of nchw16c (64 bytes a
    pixel, inner 16) or planar (4 bytes, inner 1 or the filter's width).

    Parameters are WORD_NAMES. Kind "sum" takes each filter for a block. Parts share the rows of
    the output.
    """
    tile = convolve_tile(kind, pixel_bytes * stride_x, inner)
    most = host.tile_pixels()
    one_by_one = kind == "sum"

    def kernel(parameters, source, residual, target, scratch, part, parts):
        filter_blocks = word(parameters, 0)
        rows = word(parameters, 1)
        row_pixels = word(parameters, 2)
        total_pixels = word(parameters, 3)
        in_height = word(parameters, 4)
        in_width = word(parameters, 5)
        in_planes = word(parameters, 6)
        stride_y = word(parameters, 7)
        pad_top = word(parameters, 8)
        pad_left = word(parameters, 9)
        padded_width = word(parameters, 10)
        band_rows = word(parameters, 11)
        filter_height = word(parameters, 12)
        filter_width = word(parameters, 13)
        dilation_y = word(parameters, 14)
        dilation_x = word(parameters, 15)
        in_row_bytes = word(parameters, 16)
        filters = word(parameters, 17)
        bias = word(parameters, 18)
        low = load_float(word(parameters, 19))
        high = load_float(word(parameters, 19) + 4)
        out_block_bytes = word(parameters, 20)
        bias_block_bytes = word(parameters, 21)
        groups = word(parameters, 22)

        last = rows * (part + 1) // parts
        first = rows * part // parts
        while first < last:
            count = min(band_rows, last - first)
            if padded_width:
                band_height = (count - 1) * stride_y + (filter_height - 1) * dilation_y + 1
                copy_band(
                    source,
                    scratch,
                    in_planes,
                    in_height,
                    in_width,
                    pixel_bytes,
                    first * stride_y - pad_top,
                    band_height,
                    pad_left,
                    padded_width,
                )
                band = scratch
                line_bytes = padded_width * pixel_bytes
                plane_bytes = band_height * line_bytes
                row_bytes = stride_y * line_bytes
            else:
                band = source + first * in_row_bytes
                line_bytes = in_width * pixel_bytes
                plane_bytes = in_height * line_bytes
                row_bytes = in_row_bytes
            for block in range(filter_blocks):
                start = band + word(groups, 3 * block) * plane_bytes
                planes = word(groups, 3 * block + 1)
                weights = filters + word(groups, 3 * block + 2)
                for row in range(count):
                    out_pixel = (first + row) * row_pixels
                    pixels = min(row_pixels, total_pixels - out_pixel)
                    out = block * out_block_bytes + out_pixel * 64
                    if one_by_one and block == 0:
                        clear_bytes(target + out, pixels * 64)
                    left = start + row * row_bytes
                    tiles = (pixels + most - 1) // most
                    size = pixels // tiles
                    larger = pixels - size * tiles  # tiles that take one pixel more
                    for index in range(tiles):
                        here = size + (1 if index < larger else 0)
                        tile(
                            here,
                            left,
                            weights,
                            planes,
                            plane_bytes,
                            filter_height,
                            dilation_y * line_bytes,
                            filter_width,
                            dilation_x * pixel_bytes,
                            bias + block * bias_block_bytes,
                            residual + out if residual else 0,
                            target + out,
                            low,
                            high,
                        )
                        left += here * pixel_bytes * stride_x
                        out += here * 64
            first += count

    return kernel
