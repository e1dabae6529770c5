"""Direct convolution: rows of output pixels, 16 or 32 filters at a time."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.kernels import host
from columnar_nn.kernels.direct import Direct, Panel
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.elementwise import apply_epilogue
from columnar_nn.kernels.jitted.memory import blocks, clear, clear_lanes, copy, share_either
from columnar_nn.kernels.jitted.records import record_at
from columnar_nn.kernels.jitted.tile import convolution_tile
from columnar_nn.kernels.parameters import Floats

PANEL_WORDS = len(Panel._fields)
TILE_PIXELS = host.tile_pixels()

panel_at = record_at(Panel)


@inlined
def copy_band(
    p: Direct, pixel_floats: int, source: Floats, target: Floats, first: int, rows: int
) -> None:
    """Copies `rows` rows of every plane from row `first` on, with zeros around the image."""
    line, padded_line = p.width * pixel_floats, p.padded_width * pixel_floats
    left = p.left * pixel_floats
    right = padded_line - left - line
    for plane in range(p.planes):
        for y in range(first, first + rows):
            if 0 <= y < p.height:
                clear(target, left)
                copy(target + left, source + (plane * p.height + y) * line, line)
                clear(target + (left + line), right)
            else:
                clear(target, padded_line)
            target = target + padded_line


def convolve(
    kind: str, pixel_floats: int, inner: int, stride_x: int, filter_blocks: int, last_lanes: int
) -> Callable[..., None]:
    """A kind of tile (see `convolution_tile`) over the rows of an output whose input is nchw16c
    (16 floats a pixel, inner 16) or planar (1 float, inner 1 or the filter's width).

    Parts share the rows or, of a low image, the panels, which then are read once.
    """
    pixel_step = pixel_floats * stride_x
    tile = convolution_tile(kind, pixel_step, inner, pixel_floats, filter_blocks, last_lanes)
    sums_lanes = kind == "sum"
    fewest_rows = 8 if kind in ("channels", "groups") else 0
    # "sum" clears, and "lanes" copies with its band, the planes of several filters

    def kernel(
        parameters: Direct,
        source: Floats,
        second: Floats,
        target: Floats,
        scratch: Floats,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        filter_step = 1 if sums_lanes else LANES  # floats of the bias
        block_step = 1 if sums_lanes else p.pixels * LANES  # of the output
        by_rows = p.rows >= parts * fewest_rows or p.panels < parts
        first, last, first_panel, last_panel = share_either(by_rows, p.rows, p.panels, part, parts)
        while first < last:
            rows = min(p.band_rows, last - first)
            if p.padded_width:
                height, width = (rows - 1) * p.stride_y + p.extent_y, p.padded_width
                copy_band(p, pixel_floats, source, scratch, first * p.stride_y - p.top, height)
                band, line = scratch, width * pixel_floats
                plane, row_step = height * line, p.stride_y * line
            else:
                row_step, line = p.row_step * pixel_floats, p.width * pixel_floats
                plane = p.height * line
                band = source + first * row_step
            for number in range(first_panel, last_panel):
                panel = panel_at(p.table + number * PANEL_WORDS)
                loops = (
                    ((panel.channels + (pixel_floats - 1)) // pixel_floats, plane),
                    (p.filter_height, p.dilation_y * line),
                    (p.filter_columns, p.dilation_x * pixel_floats),
                )
                owned = p.owned + number * (2 * LANES) if p.owned else p.owned
                for row in range(rows):
                    begin = (first + row) * p.row_pixels
                    pixels = min(p.row_pixels, p.pixels - begin)
                    out = number * filter_blocks * block_step + begin * LANES
                    if sums_lanes and number == 0:
                        clear(target + out, pixels * LANES)
                    here = band + (panel.first_plane * plane + row * row_step)
                    tiles = (pixels + (TILE_PIXELS - 1)) // TILE_PIXELS
                    smaller = pixels // tiles
                    larger = pixels - smaller * tiles  # tiles that take one pixel more
                    for index in range(tiles):
                        taken = smaller + (index < larger)
                        tile(
                            taken,
                            number + 1 == p.panels,
                            panel.channels,
                            here,
                            p.weights + panel.offset,
                            loops,
                            p.bias + number * filter_blocks * filter_step,
                            second + out if second else second,
                            target + out,
                            block_step,
                            p.low,
                            p.high,
                            owned,
                        )
                        here = here + taken * pixel_step
                        out += taken * LANES
                    is_last = number + 1 == p.panels
                    if p.epilogue and (is_last or not sums_lanes):  # blocks are complete
                        first_block = 0 if sums_lanes else number * filter_blocks
                        done = blocks(target) + (first_block * p.pixels + begin)
                        for b in range(filter_blocks):
                            masked = is_last and b + 1 == filter_blocks
                            apply_epilogue(
                                p, done + b * p.pixels, 1, pixels, 1, masked, blocks(scratch)
                            )
                    if p.ragged_mask and is_last:
                        last_plane = 0 if sums_lanes else p.panels * filter_blocks - 1
                        last_block = blocks(target) + (last_plane * p.pixels + begin)
                        clear_lanes(last_block, pixels, p.ragged_mask)
            first += rows

    return kernel
