"""Expand, depthwise and project, strip by strip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.bottleneck import Bottleneck, Pointwise, panel_kernel
from columnar_nn.kernels.depthwise import Tiling
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.depthwise import ROWS, depthwise_strip, finish
from columnar_nn.kernels.jitted.emitter import Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, blocks, integer, share
from columnar_nn.kernels.jitted.tile import convolution_tile
from columnar_nn.kernels.parameters import Blocks, Floats

TILE_PIXELS = host.tile_pixels()


def panel(filter_blocks: int, last_lanes: int) -> Callable[..., None]:
    """Some blocks of filters of a 1x1 convolution, on consecutive pixels.

    From a block to the next are `plane` pixels in the input, `out_plane` in residual and target.
    """
    tile = convolution_tile("channels", LANES, LANES, LANES, filter_blocks, last_lanes)

    def kernel(
        pixels: int,
        is_last: int,
        channels: int,
        source: Floats,
        plane: int,
        weights: Floats,
        bias: Floats,
        bounds: Floats,
        residual: Floats,
        target: Floats,
        out_plane: int,
    ) -> None:
        loops = (((channels + (LANES - 1)) // LANES, plane * LANES), (1, 0), (1, 0))
        tiles = (pixels + (TILE_PIXELS - 1)) // TILE_PIXELS
        smaller = pixels // tiles
        larger = pixels - smaller * tiles  # tiles that take one pixel more
        begin, distance, low, high = 0, out_plane * LANES, bounds[0], bounds[1]
        for index in range(tiles):
            taken = smaller + (index < larger)
            given = residual + begin if residual else residual
            here, out = source + begin, target + begin
            tile(
                *(taken, is_last != 0, channels, here, weights, loops, bias, given, out),
                *(distance, low, high, bias),
            )
            begin += taken * LANES

    return kernel


def panel_call(filter_blocks: int, last_lanes: int) -> Any:
    """A function for kernels: the kernel `panel`."""
    kernel = panel_kernel(filter_blocks, last_lanes)
    pixels = POINTERS["block"]
    weights = POINTERS["float"]

    @emitted(types.none(*[integer] * 3, pixels, integer, *[weights] * 3, *[pixels] * 2, integer))
    def call(e: Emitter, *arguments: Value) -> None:
        e.call_kernel(kernel.file_name, *arguments)

    return call


def stage(filter_blocks: int, last_lanes: int) -> Callable[..., None]:
    """A function for kernels: a panel of a 1x1 convolution with its epilogue and mask.

        apply(p, number, pixels, source, plane, residual, target, out_plane, scratch)

    Residual and target are those of the panel's first block.
    """
    call = panel_call(filter_blocks, last_lanes)

    @inlined
    def apply(
        p: Pointwise,
        number: int,
        pixels: int,
        source: Blocks,
        plane: int,
        residual: Blocks,
        target: Blocks,
        out_plane: int,
        scratch: Blocks,
    ) -> None:
        first = number * filter_blocks * LANES
        weights, bias = p.weights + first * p.channels, p.bias + first
        call(
            *(
                pixels,
                number + 1 == p.panels,
                p.channels,
                source,
                plane,
                weights,
                bias,
                p.bounds,
            ),
            *(residual, target, out_plane),
        )
        for b in range(filter_blocks):
            is_last = number + 1 == p.panels and b + 1 == filter_blocks
            finish(p, target + b * out_plane, pixels, is_last, scratch)

    made: Callable[..., None] = apply
    return made


def bottleneck(
    expand_blocks: int,
    expand_lanes: int,
    project_blocks: int,
    project_lanes: int,
    *constants: Any,
) -> Callable[..., None]:
    """The kernel; 0 blocks of filters at a time mean no such convolution. Parts share the strips,
    and each expands all the rows that its own need.
    """
    tiling = Tiling(*constants)
    strip = depthwise_strip(*constants)
    expand = stage(max(1, expand_blocks), expand_lanes)
    project = stage(max(1, project_blocks), project_lanes)
    stride_y = tiling.stride_y
    extent = (ROWS - 1) * tiling.stride_y + tiling.height

    def kernel(
        parameters: Bottleneck,
        source: Blocks,
        second: Blocks,
        target: Blocks,
        scratch: Floats,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        d = p.depthwise
        own = blocks(scratch)
        in_plane, out_plane = d.height * d.width, d.out_height * d.out_width
        ring_plane, strip_plane = p.ring_rows * d.width, ROWS * d.out_width
        strips = own + d.blocks * ring_plane
        expanded = 0  # rows
        for number in share((d.out_height + (ROWS - 1)) // ROWS, part, parts):
            y = number * ROWS
            begin, pixels = y * d.out_width, min(ROWS, d.out_height - y) * d.out_width
            top = y * stride_y - d.top
            first, end = max(expanded, top), min(d.height, top + extent)
            for group in range(p.expand.panels if expand_blocks else d.blocks):
                first_block = group * max(1, expand_blocks)
                if expand_blocks:
                    for row in range(first, end):
                        at = first_block * ring_plane + (row & (p.ring_rows - 1)) * d.width
                        inputs = source + row * d.width
                        expand(
                            *(p.expand, group, d.width, inputs, in_plane),
                            *(blocks(0), own + at, ring_plane, own),
                        )
                for b in range(first_block, first_block + max(1, expand_blocks)):
                    out = target + (b * out_plane + begin)
                    residual = second + (b * out_plane + begin) if second else second
                    if project_blocks:
                        out, residual = strips + b * strip_plane, blocks(0)
                    if expand_blocks:
                        strip(d, b, y, own + b * ring_plane, p.ring_rows - 1, residual, out)
                    else:
                        strip(d, b, y, source + b * in_plane, -1, residual, out)
                    finish(d, out, pixels, b + 1 == d.blocks, own)
            expanded = max(expanded, end)
            if project_blocks:
                for group in range(p.project.panels):
                    at = group * project_blocks * out_plane + begin
                    residual = second + at if second else second
                    project(
                        *(p.project, group, pixels, strips, strip_plane),
                        *(residual, target + at, out_plane, own),
                    )

    return kernel
