"""Dense layer: blocks of 16 outputs, inputs broadcast one by one."""

from __future__ import annotations

from typing import Any

from columnar_nn.kernels import host
from columnar_nn.kernels.dense import Dense
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.elementwise import apply_epilogue
from columnar_nn.kernels.jitted.matrix_tile import dense_tile
from columnar_nn.kernels.jitted.memory import blocks, clear_lanes, copy
from columnar_nn.kernels.parameters import FLOAT_BYTES, Blocks, Floats
from columnar_nn.kernels.primitives import clamp, fma

TILE_IMAGES = host.tile_pixels()

tile = dense_tile()

UNROLL = 4
"""Inputs that a loop step handles."""

TOGETHER = 4
"""Blocks of outputs that are summed at once: their sums do not wait for each other, and each is
read from a place of its own. One after the other a sum waits four cycles for each cache line.
"""


@inlined
def add_products(total: Any, inputs: Floats, weights: Blocks, count: int) -> Any:
    """A block plus the products of so many inputs with a block of weights each, in order."""
    for step in range(count // UNROLL):
        x, w = inputs + step * UNROLL, weights + step * UNROLL
        total = fma(x[0], w[0], total)
        total = fma(x[1], w[1], total)
        total = fma(x[2], w[2], total)
        total = fma(x[3], w[3], total)
    for index in range(count // UNROLL * UNROLL, count):
        total = fma(inputs[index], weights[index], total)
    return total


@inlined
def store(p: Dense, b: int, total: Any, target: Floats, scratch: Floats) -> None:
    """A block of outputs of an image; `scratch` is a block."""
    results = target + b * LANES
    left = p.outputs - b * LANES
    is_part = left < LANES and not p.fills_blocks
    stored = blocks(scratch if is_part else results)
    stored[0] = clamp(total, p.low, p.high)
    apply_epilogue(p, stored, 1, 1, 1, left < LANES, blocks(scratch))
    if left < LANES and p.fills_blocks:
        clear_lanes(stored, 1, p.ragged_mask)
    elif is_part:
        copy(results, scratch, left)


@inlined
def one_image(p: Dense, source: Floats, target: Floats, scratch: Floats, b: int, end: int) -> None:
    """Blocks of outputs from `b` to `end` of an image."""
    length = p.runs * p.inner
    while b + TOGETHER <= end:
        first, second, third, fourth = p.bias[b], p.bias[b + 1], p.bias[b + 2], p.bias[b + 3]
        for run in range(p.runs):
            inputs = source + run * LANES
            w0 = p.weights + (b * length + run * p.inner)
            w1, w2, w3 = w0 + length, w0 + 2 * length, w0 + 3 * length
            for index in range(p.inner):
                x = block(inputs[index])
                first = fma(x, w0[index], first)
                second = fma(x, w1[index], second)
                third = fma(x, w2[index], third)
                fourth = fma(x, w3[index], fourth)
        store(p, b, first, target, scratch)
        store(p, b + 1, second, target, scratch)
        store(p, b + 2, third, target, scratch)
        store(p, b + 3, fourth, target, scratch)
        b += TOGETHER
    while b < end:
        total = p.bias[b]
        for run in range(p.runs):
            weights = p.weights + (b * length + run * p.inner)
            total = add_products(total, source + run * LANES, weights, p.inner)
        store(p, b, total, target, scratch)
        b += 1


def dense(
    parameters: Dense,
    source: Floats,
    target: Floats,
    scratch: Floats,
    part: int,
    parts: int,
    images: int,
    source_bytes: int,
    target_bytes: int,
) -> None:
    """A product of a matrix and each image's vector. Parts share the blocks of 16 outputs."""
    p = parameters
    count = (p.outputs + LANES - 1) // LANES
    b, end = count * part // parts, count * (part + 1) // parts
    if images == 1:
        one_image(p, source, target, scratch, b, end)
        return
    source_step, target_step = source_bytes // FLOAT_BYTES, target_bytes // FLOAT_BYTES
    sums = blocks(scratch + LANES)
    while b < end:
        weights = p.weights + b * (p.runs * p.inner)
        first = 0
        while first < images:
            taken = min(images - first, TILE_IMAGES)
            seen = source + first * source_step
            tile(taken, seen, source_step, weights, p.bias + b, p.runs, p.inner, sums)
            for image in range(taken):
                store(p, b, sums[image], target + (first + image) * target_step, scratch)
            first += taken
        b += 1
