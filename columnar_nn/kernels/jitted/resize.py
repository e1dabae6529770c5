"""Resizing of nchw16c images, 16 channels at a time, and of planar ones whose pixels are copied."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.kernels.jitted.blocks import block
from columnar_nn.kernels.jitted.memory import blocks, clear_lanes, copy, share
from columnar_nn.kernels.jitted.rearrange import interleave
from columnar_nn.kernels.parameters import Blocks, Floats
from columnar_nn.kernels.primitives import fma
from columnar_nn.kernels.resize import PlanarCopies, Resizing


def copies(parameters: Resizing, source: Blocks, target: Blocks, part: int, parts: int) -> None:
    """Each pixel is one of the image's. Parts share the rows of all blocks."""
    p = parameters
    for row in share(p.blocks * p.out_height, part, parts):
        b, goal = row // p.out_height, target + row * p.out_width
        y = p.rows[row % p.out_height]
        line = source + (b * p.height + max(y, 0)) * p.width
        for out_x in range(p.out_width):
            x = p.columns[out_x]
            goal[out_x] = line[x] if x >= 0 <= y else block(p.fill)
        if p.ragged_mask and b + 1 == p.blocks:
            clear_lanes(goal, p.out_width, p.ragged_mask)


def copies_of_planes(doubled: int) -> Callable[..., None]:
    """Each pixel is one of a planar image's. Parts share the channels.

    Rows made of the same one follow each other, and are copied. If `doubled`, so are columns, two
    by two, and all of them.
    """

    def kernel(
        parameters: PlanarCopies, source: Floats, target: Floats, part: int, parts: int
    ) -> None:
        p = parameters
        for channel in share(p.channels, part, parts):
            plane = source + channel * p.height * p.width
            goal = target + channel * p.out_height * p.out_width
            for out_y in range(p.out_height):
                y, line = p.rows[out_y], goal + out_y * p.out_width
                if out_y and p.rows[out_y - 1] == y:
                    copy(line, goal + (out_y - 1) * p.out_width, p.out_width)
                elif y < 0:
                    for out_x in range(p.out_width):
                        line[out_x] = p.fill
                elif doubled:
                    row = plane + y * p.width
                    interleave(line, row, row, p.width)
                else:
                    row = plane + y * p.width
                    for out_x in range(p.out_width):
                        x = p.columns[out_x]
                        value = row[max(x, 0)]  # any will do where it is not used
                        line[out_x] = value if x >= 0 else p.fill

    return kernel


def sums(
    parameters: Resizing, source: Blocks, target: Blocks, scratch: Floats, part: int, parts: int
) -> None:
    """Each row is a sum of rows, then each of its pixels one of those. Parts share the rows."""
    p, line = parameters, blocks(scratch)
    for row in share(p.blocks * p.out_height, part, parts):
        b, out_y, goal = row // p.out_height, row % p.out_height, target + row * p.out_width
        plane = source + b * p.height * p.width
        rows, row_weights = p.rows + out_y * p.row_taps, p.row_weights + out_y * p.row_taps
        is_inside = rows[0] >= 0
        if is_inside:
            for x in range(p.width):
                total = block(0.0)
                for tap in range(p.row_taps):
                    total = fma(row_weights[tap], plane[rows[tap] * p.width + x], total)
                line[x] = total
        for out_x in range(p.out_width):
            first = out_x * p.column_taps
            total = block(p.fill)
            if is_inside and p.columns[first] >= 0:
                total = block(0.0)
                for tap in range(first, first + p.column_taps):
                    total = fma(p.column_weights[tap], line[p.columns[tap]], total)
            goal[out_x] = total
        if p.ragged_mask and b + 1 == p.blocks:
            clear_lanes(goal, p.out_width, p.ragged_mask)
