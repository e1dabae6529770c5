"""Dense layer: 16 outputs at a time, inputs broadcast one by one."""

from __future__ import annotations

from typing import Any

from columnar_nn.kernels import host
from columnar_nn.kernels.dense import Dense
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.elementwise import apply_epilogue
from columnar_nn.kernels.jitted.memory import blocks, copy, share
from columnar_nn.kernels.jitted.tile import dense_tile
from columnar_nn.kernels.parameters import FLOAT_BYTES, Blocks, Floats
from columnar_nn.kernels.primitives import clamp, fma

TILE_IMAGES = host.tile_pixels()

tile = dense_tile()

UNROLL = 4
"""Inputs that a loop step handles. So does the processor look ahead to the next outputs, whose sums
do not wait for these: 1.04 to 1.16 times as fast.
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
def sum_of_one(p: Dense, source: Floats, weights: Blocks, total: Any) -> Any:
    """16 outputs of an image."""
    for run in range(p.runs):
        total = add_products(total, source + run * LANES, weights + run * p.inner, p.inner)
    return total


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
    source_step, target_step = source_bytes // FLOAT_BYTES, target_bytes // FLOAT_BYTES
    for b in share((p.outputs + LANES - 1) // LANES, part, parts):
        weights = p.weights + b * (p.runs * p.inner)
        left = p.outputs - b * LANES
        first = 0
        while first < images:
            taken = min(images - first, TILE_IMAGES)
            seen, sums = source + first * source_step, blocks(scratch)
            if taken == 1:
                sums[0] = sum_of_one(p, seen, weights, p.bias[b])
            else:
                tile(taken, seen, source_step, weights, p.bias + b, p.runs, p.inner, sums)
            for image in range(taken):
                results = target + ((first + image) * target_step + b * LANES)
                sums[image] = clamp(sums[image], p.low, p.high)
                apply_epilogue(p, sums + image, 1, 1, 1, left < LANES, blocks(scratch))
                copy(results, scratch + image * LANES, min(left, LANES))
            first += taken
