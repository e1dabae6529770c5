"""Pooling over windows of nchw16c, 16 channels at a time."""

import numpy as np

from columnar_nn.kernels.compiled.simd import (
    add,
    block_of,
    load_block,
    maximum,
    multiply,
    store_block,
    word,
)


def pool(kind: str):
    """The function for "max" or "average".

    Parameters: blocks, input height and width, output height and width, window height and
    width, strides, pads at top and left, dilations, whether padding counts in an average,
    padded height and width. Parts share the output rows of all blocks.
    """
    is_max = kind == "max"
    start = np.float32(-np.inf if is_max else 0.0)

    def kernel(parameters, source, second, target, scratch, part, parts):
        blocks = word(parameters, 0)
        in_height = word(parameters, 1)
        in_width = word(parameters, 2)
        out_height = word(parameters, 3)
        out_width = word(parameters, 4)
        window_height = word(parameters, 5)
        window_width = word(parameters, 6)
        stride_y = word(parameters, 7)
        stride_x = word(parameters, 8)
        top = word(parameters, 9)
        left = word(parameters, 10)
        dilation_y = word(parameters, 11)
        dilation_x = word(parameters, 12)
        padding_counts = word(parameters, 13)
        bottom_edge = word(parameters, 14)
        right_edge = word(parameters, 15)
        rows = blocks * out_height
        for row in range(rows * part // parts, rows * (part + 1) // parts):
            block = row // out_height
            y0 = (row - block * out_height) * stride_y - top
            plane = source + block * in_height * in_width * 64
            for x in range(out_width):
                x0 = x * stride_x - left
                value = block_of(start)
                count = 0
                for ky in range(window_height):
                    y = y0 + ky * dilation_y
                    if y < 0 or y >= in_height:
                        continue
                    for kx in range(window_width):
                        column = x0 + kx * dilation_x
                        if column < 0 or column >= in_width:
                            continue
                        here = load_block(plane + (y * in_width + column) * 64)
                        value = maximum(value, here) if is_max else add(value, here)
                        count += 1
                if not is_max:
                    if padding_counts:
                        tall = min(y0 + window_height, bottom_edge) - y0
                        count = tall * (min(x0 + window_width, right_edge) - x0)
                    value = multiply(value, block_of(np.float32(1.0) / np.float32(count)))
                store_block(target + (row * out_width + x) * 64, value)

    return kernel


def global_average():
    """Parameters: blocks, pixels. Parts share the blocks."""

    def kernel(parameters, source, second, target, scratch, part, parts):
        blocks = word(parameters, 0)
        pixels = word(parameters, 1)
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            total = block_of(np.float32(0.0))
            for pixel in range(pixels):
                total = add(total, load_block(source + (block * pixels + pixel) * 64))
            scale = block_of(np.float32(1.0) / np.float32(pixels))
            store_block(target + block * 64, multiply(total, scale))

    return kernel
