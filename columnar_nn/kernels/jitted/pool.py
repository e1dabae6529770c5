"""Pooling over windows of nchw16c, 16 channels at a time."""

from __future__ import annotations

import math

from numba import float32

from columnar_nn.kernels.jitted.blocks import block, maximum
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import clear_lanes, image, share
from columnar_nn.kernels.parameters import Blocks
from columnar_nn.kernels.pool import GlobalPooling, Pooling


def max_pool(parameters: Pooling, source: Blocks, target: Blocks, part: int, parts: int) -> None:
    """The greatest of each window. Parts share the output rows of all blocks."""
    p = parameters
    pixels = image(source, p.height, p.width)
    results = image(target, p.out_height, p.out_width)
    for row in share(p.blocks * p.out_height, part, parts):
        b, out_y = row // p.out_height, row % p.out_height
        top = out_y * p.stride_y - p.top
        for out_x in range(p.out_width):
            greatest, left = block(-math.inf), out_x * p.stride_x - p.left
            for ky in range(p.window_height):
                y = top + ky * p.dilation_y
                if 0 <= y < p.height:
                    line = pixels[b, y]
                    for kx in range(p.window_width):
                        x = left + kx * p.dilation_x
                        if 0 <= x < p.width:
                            greatest = maximum(greatest, line[x])
            results[b, out_y, out_x] = greatest
        if p.ragged_mask and b + 1 == p.blocks:
            clear_lanes(target + row * p.out_width, p.out_width, p.ragged_mask)


@inlined
def padded_count(p: Pooling, top: int, left: int) -> int:
    """Pixels of the window that begins there, all that lie before the end of the padding."""
    below, beside = p.bottom_edge - top - 1, p.right_edge - left - 1
    tall = min(p.window_height, (below + p.dilation_y) // p.dilation_y)
    wide = min(p.window_width, (beside + p.dilation_x) // p.dilation_x)
    return tall * wide


def average_pool(
    parameters: Pooling, source: Blocks, target: Blocks, part: int, parts: int
) -> None:
    """The mean of each window. Parts share the output rows of all blocks."""
    p = parameters
    pixels = image(source, p.height, p.width)
    results = image(target, p.out_height, p.out_width)
    for row in share(p.blocks * p.out_height, part, parts):
        b, out_y = row // p.out_height, row % p.out_height
        top = out_y * p.stride_y - p.top
        for out_x in range(p.out_width):
            total, count, left = block(0.0), 0, out_x * p.stride_x - p.left
            for ky in range(p.window_height):
                y = top + ky * p.dilation_y
                if 0 <= y < p.height:
                    line = pixels[b, y]
                    for kx in range(p.window_width):
                        x = left + kx * p.dilation_x
                        if 0 <= x < p.width:
                            total += line[x]
                            count += 1
            if p.padding_counts:
                count = padded_count(p, top, left)
            results[b, out_y, out_x] = total * (float32(1) / float32(count))
        if p.ragged_mask and b + 1 == p.blocks:
            clear_lanes(target + row * p.out_width, p.out_width, p.ragged_mask)


def global_average_pool(
    parameters: GlobalPooling, source: Blocks, target: Blocks, part: int, parts: int
) -> None:
    """The mean of each channel. Parts share the blocks."""
    pixels = parameters.pixels
    scale = float32(1) / float32(pixels)
    for b in share(parameters.blocks, part, parts):
        total = block(0.0)
        for pixel in range(pixels):
            total += source[b * pixels + pixel]
        target[b] = total * scale
