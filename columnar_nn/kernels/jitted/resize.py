"""Resizing of nchw16c images, 16 channels at a time."""

from __future__ import annotations

from columnar_nn.kernels.jitted.blocks import block
from columnar_nn.kernels.jitted.memory import blocks, clear_lanes, share
from columnar_nn.kernels.parameters import Blocks, Floats
from columnar_nn.kernels.primitives import fma
from columnar_nn.kernels.resize import Resizing


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
