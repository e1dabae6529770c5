"""Pooling over windows of nhwc_bf16, 16 channels at a time, in float32."""

from __future__ import annotations

import math
from collections.abc import Callable

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.bfloat16_reorder import loaded_as, stored_as
from columnar_nn.kernels.jitted.blocks import block, maximum
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import clear, share
from columnar_nn.kernels.jitted.pool import padded_count
from columnar_nn.kernels.parameters import Bytes
from columnar_nn.kernels.pool import GlobalPooling, Pooling
from columnar_nn.kernels.primitives import where

BLOCK = 2 * LANES
"""Bytes of 16 channels."""


@inlined
def bytes_of_pixel(blocks: int, items: int) -> int:
    """Of nhwc_bf16 with so many blocks of channels; one block has 4 or 16 items."""
    return 2 * items if blocks == 1 else (blocks + 1) // 2 * (2 * BLOCK)


@inlined
def taps_inside(first: int, window: int, dilation: int, size: int) -> tuple[int, int]:
    """The first tap and the end of those of a window, beginning at `first`, that are inside."""
    begin = (max(-first, 0) + dilation - 1) // dilation
    end = min(window, (max(size - first, 0) + dilation - 1) // dilation)
    return begin, max(begin, end)


def _pool(items: int, is_max: bool) -> Callable[..., None]:
    load, store = loaded_as(items), stored_as(items)
    initial = -math.inf if is_max else 0.0

    def kernel(parameters: Pooling, source: Bytes, target: Bytes, part: int, parts: int) -> None:
        p = parameters
        pixel = bytes_of_pixel(p.blocks, items)
        for out_y in share(p.out_height, part, parts):
            top = out_y * p.stride_y - p.top
            first_y, end_y = taps_inside(top, p.window_height, p.dilation_y, p.height)
            for out_x in range(p.out_width):
                left = out_x * p.stride_x - p.left
                first_x, end_x = taps_inside(left, p.window_width, p.dilation_x, p.width)
                count = (end_y - first_y) * (end_x - first_x)
                if p.padding_counts:
                    count = padded_count(p, top, left)
                goal = target + (out_y * p.out_width + out_x) * pixel
                for b in range(p.blocks):
                    result = block(initial)
                    for ky in range(first_y, end_y):
                        line = source + ((top + ky * p.dilation_y) * p.width + left) * pixel
                        for kx in range(first_x, end_x):
                            value = load(line + kx * p.dilation_x * pixel + b * BLOCK)
                            result = maximum(result, value) if is_max else result + value
                    if not is_max:
                        result = result * (float32(1) / float32(count))
                    if p.ragged_mask and b + 1 == p.blocks:
                        result = where(p.ragged_mask[0] < 0.0, 0.0, result)
                    store(goal + b * BLOCK, result)
                if pixel > p.blocks * BLOCK:
                    clear(goal + p.blocks * BLOCK, BLOCK)

    return kernel


def max_pool(items: int) -> Callable[..., None]:
    """The greatest of each window; pixels of one block have `items`. Parts share the rows."""
    return _pool(items, is_max=True)


def average_pool(items: int) -> Callable[..., None]:
    """The mean of each window, as `max_pool`."""
    return _pool(items, is_max=False)


def global_average_pool(items: int) -> Callable[..., None]:
    """The mean of each channel. Parts share the blocks."""
    load, store = loaded_as(items), stored_as(items)

    def kernel(
        parameters: GlobalPooling, source: Bytes, target: Bytes, part: int, parts: int
    ) -> None:
        p = parameters
        pixel = bytes_of_pixel(p.blocks, items)
        scale = float32(1) / float32(p.pixels)
        for b in share(p.blocks, part, parts):
            total = block(0.0)
            for index in range(p.pixels):
                total += load(source + index * pixel + b * BLOCK)
            store(target + b * BLOCK, total * scale)
        if part == 0 and pixel > p.blocks * BLOCK:
            clear(target + p.blocks * BLOCK, BLOCK)

    return kernel
