"""Pooling over windows of nchw16c, 16 channels at a time."""

from __future__ import annotations

import math

from columnar_nn.kernels.emit.elementwise import maximum
from columnar_nn.kernels.emit.emitter import BLOCK, FLOAT, Emitter, Value
from columnar_nn.kernels.emit.tile import clear_lanes


def _to_float(e: Emitter, count: Value) -> Value:
    return e.of(e.builder.sitofp(count.ir, FLOAT))


def pool(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
    kind: str,
) -> None:
    """Kind "max" or "average". Parts share the output rows of all blocks.

    Parameters: blocks, input height and width, output height and width, window height and
    width, strides, pads at top and left, dilations, whether padding counts in an average,
    height and width with the padding after, address of the mask of the last block's lanes past the
    last channel (0: none). A window in the padding alone would leave -inf or NaN there.
    """
    (
        blocks,
        in_height,
        in_width,
        out_height,
        out_width,
        window_height,
        window_width,
        stride_y,
        stride_x,
        top,
        left,
        dilation_y,
        dilation_x,
        padding_counts,
        bottom_edge,
        right_edge,
        ragged_mask,
    ) = e.load_words(parameters, 17)
    is_max = kind == "max"
    first, last = e.share(blocks * out_height, part, parts)
    with e.loop(last, first) as row:
        block = row // out_height
        y0 = (row - block * out_height) * stride_y - top
        plane = source + block * in_height * in_width * 64
        with e.loop(out_width) as x:
            x0 = x * stride_x - left
            result = e.variable(e.constant(BLOCK, -math.inf if is_max else 0.0))
            count = e.variable(e.word(0))
            with e.loop(window_height) as ky:
                y = y0 + ky * dilation_y
                with e.when((y >= 0) & (y < in_height)), e.loop(window_width) as kx:
                    column = x0 + kx * dilation_x
                    with e.when((column >= 0) & (column < in_width)):
                        here = e.load(plane + (y * in_width + column) * 64, BLOCK)
                        sums = result.value
                        result.value = maximum(e, sums, here) if is_max else sums + here
                        count.value = count.value + 1
            place = target + (row * out_width + x) * 64
            if is_max:
                e.store(place, result.value)
            else:
                # entries of the window before the end of the padding
                tall = e.least(window_height, (bottom_edge - y0 + dilation_y - 1) // dilation_y)
                wide = e.least(window_width, (right_edge - x0 + dilation_x - 1) // dilation_x)
                divisor = padding_counts.differs(0).select(tall * wide, count.value)
                inverse = e.constant(FLOAT, 1.0) / _to_float(e, divisor)
                e.store(place, result.value * e.splat(inverse, BLOCK.count))
        with e.when(ragged_mask.differs(0) & (block + 1).equals(blocks)):
            clear_lanes(e, target + row * out_width * 64, out_width, ragged_mask)


def global_average(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
) -> None:
    """Parameters: blocks, pixels. Parts share the blocks."""
    blocks, pixels = e.load_words(parameters, 2)
    scale = e.splat(e.constant(FLOAT, 1.0) / _to_float(e, pixels), BLOCK.count)
    first, last = e.share(blocks, part, parts)
    with e.loop(last, first) as block:
        total = e.variable(e.constant(BLOCK, 0.0))
        with e.loop(pixels) as pixel:
            here = e.load(source + (block * pixels + pixel) * 64, BLOCK)
            total.value = total.value + here
        e.store(target + block * 64, total.value * scale)
