"""Softmax and argmax over a vector of features, or over the channels of a planar image."""

import numpy as np

from columnar_nn.kernels.compiled.simd import (
    add,
    block_of,
    exponential,
    lane,
    load_block,
    load_float,
    maximum,
    multiply,
    set_word,
    store_block,
    store_float,
    subtract,
    word,
)


def softmax(logarithm: int):
    """The function over `count` floats; with `logarithm` its natural logarithm.

    Parameters: count. Done by part 0: a vector is short.
    """
    lowest = np.float32(-np.inf)
    zero = np.float32(0.0)

    def kernel(parameters, source, second, target, scratch, part, parts):
        count = word(parameters, 0)
        blocks = (count + 15) // 16
        if part == 0:
            for index in range(count):
                store_float(scratch + 4 * index, load_float(source + 4 * index))
            for index in range(count, 16 * blocks):
                store_float(scratch + 4 * index, lowest)
            highest = block_of(lowest)
            for block in range(blocks):
                highest = maximum(highest, load_block(scratch + 64 * block))
            top = lane(highest, 0)
            for index in range(1, 16):
                value = lane(highest, index)
                if value > top or value != value:
                    top = value
            sums = block_of(zero)
            for block in range(blocks):
                shifted = subtract(load_block(scratch + 64 * block), block_of(top))
                power = exponential(shifted)
                sums = add(sums, power)
                store_block(scratch + 64 * block, shifted if logarithm else power)
            total = zero
            for index in range(16):
                total += lane(sums, index)
            change = np.float32(np.log(total)) if logarithm else np.float32(1.0) / total
            for block in range(blocks):
                value = load_block(scratch + 64 * block)
                changed = (
                    subtract(value, block_of(change))
                    if logarithm
                    else multiply(value, block_of(change))
                )
                store_block(scratch + 64 * block, changed)
            for index in range(count):
                store_float(target + 4 * index, load_float(scratch + 4 * index))

    return kernel


def argmax():
    """Index of the first greatest of `count` floats, int64; a NaN is greatest, as in PyTorch."""

    def kernel(parameters, source, second, target, scratch, part, parts):
        count = word(parameters, 0)
        if part == 0:
            best = load_float(source)
            place = 0
            for index in range(1, count):
                value = load_float(source + 4 * index)
                if best == best and (value > best or value != value):
                    best = value
                    place = index
            set_word(target, 0, place)

    return kernel
