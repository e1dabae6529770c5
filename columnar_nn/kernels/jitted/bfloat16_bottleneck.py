"""Expand, depthwise and project, strip by strip, with 1x1 convolutions in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.bfloat16_bottleneck import (
    ARGUMENTS,
    NarrowBottleneck,
    NarrowPointwise,
    PanelKind,
    panel_kernel,
)
from columnar_nn.kernels.bfloat16_product import TILE_BYTES, blocks_of
from columnar_nn.kernels.depthwise import Tiling
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.bfloat16_reorder import loaded_as, stored_as
from columnar_nn.kernels.jitted.bfloat16_vectors import product_tile
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.depthwise import ROWS, depthwise_strip, finish
from columnar_nn.kernels.jitted.emitter import Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, blocks, bytes_, integer, share
from columnar_nn.kernels.parameters import BLOCK_BYTES, Blocks, Bytes, Floats, Words

TILE_PIXELS = host.tile_pixels()

HALF_BYTES = BLOCK_BYTES // 2
"""Of 16 bfloat16."""

load, store = loaded_as(LANES), stored_as(LANES)


def panel(
    pairs: int,
    width: int,
    output: str,
    residuals: int,
    ragged: int,
    by_instruction: int,
    half: int,
) -> Callable[..., None]:
    """A panel of filters of a 1x1 convolution, on consecutive pixels.

    `distance` is in bytes: from block to block of nchw16c, from pixel to pixel of nhwc_bf16.
    """
    # One chain each: however many rows are expanded at once, a sum is the same.
    tile = product_tile(
        *(pairs, width, output, residuals, ragged, 0),
        by_instruction=by_instruction,
        chains=1,
        half=half,
    )
    pixel_bytes = BLOCK_BYTES if output == "nchw16c" else 0

    def kernel(
        pixels: int,
        source: Bytes,
        row_bytes: int,
        weights: Bytes,
        offsets: Words,
        steps: int,
        bias: Blocks,
        mask: Blocks,
        bounds: Floats,
        residual: Bytes,
        target: Bytes,
        distance: int,
        is_last: int,
    ) -> None:
        more = TILE_PIXELS if half and is_last else 0
        tiles = (pixels + (TILE_PIXELS - 1)) // TILE_PIXELS
        step = pixel_bytes or distance
        for index in range(tiles):
            begin, end = pixels * index // tiles, pixels * (index + 1) // tiles
            here = source + begin * row_bytes
            place = begin * step
            tile(
                *(end - begin + more, here, row_bytes, weights, offsets, steps, bias, mask),
                *(residual + place, target + place, distance, bounds[0], bounds[1]),
            )

    return kernel


def panel_call(kind: PanelKind) -> Any:
    """A function for kernels: the kernel `panel`."""
    kernel = panel_kernel(kind)
    raw, words = POINTERS["byte"], POINTERS["word"]
    of_block, of_float = POINTERS["block"], POINTERS["float"]
    given = (integer, raw, integer, raw, words, integer, of_block, of_block, of_float, raw, raw)
    assert len(given) + 2 == len(ARGUMENTS)

    @emitted(types.none(*given, integer, integer))
    def call(e: Emitter, *arguments: Value) -> None:
        e.call_kernel(kernel.file_name, *arguments)

    return call


def stage(kind: PanelKind) -> Callable[..., None]:
    """A function for kernels: a panel of a 1x1 convolution.

    apply(p, number, pixels, source, residual, target, distance)

    Residual and target are those of the panel's first filter.
    """
    call = panel_call(kind)
    lanes = blocks_of(kind.width)

    @inlined
    def apply(
        p: NarrowPointwise,
        number: int,
        pixels: int,
        source: Bytes,
        residual: Bytes,
        target: Bytes,
        distance: int,
    ) -> None:
        call(
            *(pixels, source, p.row_bytes),
            *(p.weights + number * p.steps * (lanes * TILE_BYTES), p.offsets, p.steps),
            *(p.bias + number * lanes, p.mask + number * lanes, p.bounds),
            *(residual, target, distance, number + 1 == p.panels),
        )

    made: Callable[..., None] = apply
    return made


@inlined
def widen_block(source: Bytes, row_bytes: int, target: Blocks, pixels: int) -> None:
    """16 channels of pixels as float32."""
    for pixel in range(pixels):
        target[pixel] = load(source + pixel * row_bytes)


@inlined
def narrow_block(source: Blocks, target: Bytes, row_bytes: int, pixels: int) -> None:
    """16 channels of pixels as bfloat16."""
    for pixel in range(pixels):
        store(target + pixel * row_bytes, source[pixel])


def bottleneck(*constants: Any) -> Callable[..., None]:
    """The kernel, of the constants of both panels and of the tiles; parts share the strips, and
    each expands all the rows that its own need.
    """
    count = len(PanelKind._fields)
    expanding = PanelKind(*constants[:count])
    projecting = PanelKind(*constants[count : 2 * count])
    tiling = Tiling(*constants[2 * count :])
    strip = depthwise_strip(*tiling)
    expands, projects = bool(expanding.pairs), bool(projecting.pairs)
    expand, project = stage(expanding), stage(projecting)
    group_blocks = blocks_of(expanding.width) if expands else 1
    panel_bytes = 2 * projecting.width
    stride_y = tiling.stride_y
    extent = (ROWS - 1) * stride_y + tiling.height

    def kernel(
        parameters: NarrowBottleneck,
        source: Bytes,
        second: Bytes,
        target: Bytes,
        scratch: Floats,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        d = p.depthwise
        ring, pixel_bytes = blocks(scratch), p.source_bytes
        ring_plane, out_plane = p.ring_rows * d.width, d.out_height * d.out_width
        strips = ring + d.blocks * ring_plane
        narrow = bytes_(strips + ROWS * d.out_width)
        expanded = 0  # rows
        for number in share((d.out_height + (ROWS - 1)) // ROWS, part, parts):
            y = number * ROWS
            begin, pixels = y * d.out_width, min(ROWS, d.out_height - y) * d.out_width
            top = y * stride_y - d.top
            first, end = max(expanded, top), min(d.height, top + extent)
            for group in range(d.blocks // group_blocks):
                first_block = group * group_blocks
                row = first
                while row < end:
                    slot = row & (p.ring_rows - 1)
                    rows = min(end - row, p.ring_rows - slot)
                    taken, here = rows * d.width, source + row * d.width * pixel_bytes
                    goal = ring + (first_block * ring_plane + slot * d.width)
                    if expands:
                        expand(
                            *(p.expand, group, taken, here, source),
                            *(bytes_(goal), ring_plane * BLOCK_BYTES),
                        )
                        for b in range(group_blocks):
                            is_last = first_block + b + 1 == d.blocks
                            finish(p.expand, goal + b * ring_plane, taken, is_last, ring)
                    else:
                        widen_block(here + group * HALF_BYTES, pixel_bytes, goal, taken)
                    row += rows
                for b in range(first_block, first_block + group_blocks):
                    out = strips
                    if not projects:
                        out = blocks(target) + (b * out_plane + begin)
                    strip(d, b, y, ring + b * ring_plane, p.ring_rows - 1, blocks(0), out)
                    finish(d, out, pixels, b + 1 == d.blocks, ring)
                    if projects:
                        narrow_block(out, narrow + b * HALF_BYTES, p.project.row_bytes, pixels)
            expanded = max(expanded, end)
            if projects:
                for group in range(p.project.panels):
                    at = begin * p.target_bytes + group * panel_bytes
                    project(
                        *(p.project, group, pixels, narrow),
                        *(second + at, target + at, p.target_bytes),
                    )

    return kernel
