"""Functions of each element, with constants that differ by channel: one loop for all."""

import numba
import numpy as np

from columnar_nn.kernels.compiled.simd import (
    add,
    block_of,
    copy_bytes,
    divide,
    exponential,
    fused,
    load_block,
    load_pixel,
    load_pixels,
    maximum,
    minimum,
    multiply,
    store_block,
    subtract,
    where_negative,
    word,
)

inline = numba.njit(inline="always")


@inline
def constant(value):
    return block_of(np.float32(value))


@inline
def relu(x, _a, _b):
    return where_negative(x, constant(0.0), x)


@inline
def prelu(x, slope, _b):
    return where_negative(x, multiply(x, slope), x)


@inline
def elu(x, alpha, _b):
    return where_negative(x, multiply(alpha, subtract(exponential(x), constant(1.0))), x)


@inline
def clip(x, low, high):
    return minimum(maximum(x, low), high)


@inline
def negative(x):
    return subtract(constant(0.0), x)


@inline
def sigmoid(x, _a, _b):
    return divide(constant(1.0), add(constant(1.0), exponential(negative(x))))


@inline
def hyperbolic_tangent(x, _a, _b):
    size = where_negative(x, negative(x), x)
    square = multiply(x, x)
    series = constant(-5.70498872745e-3)
    series = fused(series, square, constant(2.06390887954e-2))
    series = fused(series, square, constant(-5.37397155531e-2))
    series = fused(series, square, constant(1.33314422036e-1))
    series = fused(series, square, constant(-3.33332819422e-1))
    near = fused(multiply(series, square), x, x)
    quotient = divide(constant(2.0), add(exponential(add(size, size)), constant(1.0)))
    far = subtract(constant(1.0), quotient)
    far = where_negative(x, negative(far), far)
    return where_negative(subtract(size, constant(0.625)), near, far)


@inline
def hard_sigmoid(x, alpha, beta):
    return clip(fused(alpha, x, beta), constant(0.0), constant(1.0))


@inline
def hard_swish(x, _a, _b):
    return multiply(x, hard_sigmoid(x, constant(1.0 / 6.0), constant(0.5)))


@inline
def scale_add(x, scale, offset):
    return fused(x, scale, offset)


@inline
def binary_add(x, y):
    return add(x, y)


@inline
def binary_subtract(x, y):
    return subtract(x, y)


@inline
def binary_multiply(x, y):
    return multiply(x, y)


@inline
def binary_divide(x, y):
    return divide(x, y)


UNARY = {
    "relu": relu,
    "prelu": prelu,
    "elu": elu,
    "clip": clip,
    "sigmoid": sigmoid,
    "tanh": hyperbolic_tangent,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "scale_add": scale_add,
}
BINARY = {
    "add": binary_add,
    "sub": binary_subtract,
    "mul": binary_multiply,
    "div": binary_divide,
}


def unary(operation: str):
    """output = operation(input, a, b).

    Parameters: groups, floats a group, floats in all, addresses of a, b and the mask (0
    keeps, -1 writes zero), each of 16 floats a group. Parts share the floats of every group.
    """
    function = UNARY[operation]

    def kernel(parameters, source, second, target, scratch, part, parts):
        groups = word(parameters, 0)
        length = word(parameters, 1)
        total = word(parameters, 2)
        for group in range(groups):
            a = load_block(word(parameters, 3) + 64 * group)
            b = load_block(word(parameters, 4) + 64 * group)
            mask = load_block(word(parameters, 5) + 64 * group)
            start = group * length * 4
            count = min(length, total - group * length)
            blocks = count // 16
            for block in range(blocks * part // parts, blocks * (part + 1) // parts):
                place = start + 64 * block
                value = function(load_block(source + place), a, b)
                store_block(target + place, where_negative(mask, constant(0.0), value))
            rest = (count - 16 * blocks) * 4
            if rest and part == parts - 1:
                place = start + 64 * blocks
                copy_bytes(scratch, source + place, rest)
                store_block(scratch, function(load_block(scratch), a, b))
                copy_bytes(target + place, scratch, rest)

    return kernel


def binary(operation: str):
    """output = operation(input, second input).

    Parameters: groups, floats a group, floats in all, address of the mask, whether the second
    input is one Block a group rather than of the first's shape.
    """
    function = BINARY[operation]

    def kernel(parameters, source, second, target, scratch, part, parts):
        groups = word(parameters, 0)
        length = word(parameters, 1)
        total = word(parameters, 2)
        broadcast = word(parameters, 4)
        for group in range(groups):
            mask = load_block(word(parameters, 3) + 64 * group)
            start = group * length * 4
            count = min(length, total - group * length)
            blocks = count // 16
            other = second + (64 * group if broadcast else start)
            step = 0 if broadcast else 64
            for block in range(blocks * part // parts, blocks * (part + 1) // parts):
                place = start + 64 * block
                value = function(load_block(source + place), load_block(other + step * block))
                store_block(target + place, where_negative(mask, constant(0.0), value))
            rest = (count - 16 * blocks) * 4
            if rest and part == parts - 1:
                place = start + 64 * blocks
                copy_bytes(scratch, source + place, rest)
                copy_bytes(scratch + 64, other + step * blocks, rest)
                value = function(load_block(scratch), load_block(scratch + 64))
                store_block(scratch, value)
                copy_bytes(target + place, scratch, rest)

    return kernel


def pixels():
    """output = uint8 pixels * scale, as float32. Parameters: count, address of the scale (16)."""

    def kernel(parameters, source, second, target, scratch, part, parts):
        count = word(parameters, 0)
        scale = load_block(word(parameters, 1))
        blocks = count // 16
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            value = load_pixels(source + 16 * block)
            store_block(target + 64 * block, multiply(value, scale))
        if part == parts - 1:
            for index in range(16 * blocks, count):
                value = block_of(load_pixel(source + index))
                store_block(scratch, multiply(value, scale))
                copy_bytes(target + 4 * index, scratch, 4)

    return kernel
