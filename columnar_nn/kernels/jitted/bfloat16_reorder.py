"""float32 images rounded to bfloat16, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.bfloat16_reorder import FEW_CHANNELS, Conversion
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.bfloat16_lanes import filled, half_lanes, narrowed, widened
from columnar_nn.kernels.jitted.blocks import block_type
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import BLOCK, FLOAT, INT32, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, clear, copy, share
from columnar_nn.kernels.parameters import FLOAT_BYTES, Blocks, Bytes, Floats
from columnar_nn.kernels.reorder import PlacedItems

raw = POINTERS["byte"]


def _first_lanes(e: Emitter, value: Value, count: int) -> Value:
    if count == LANES:
        return value
    lanes = ir.Constant(ir.VectorType(INT32, count), list(range(count)))
    return e.of(e.builder.shuffle_vector(value.ir, value.ir, lanes))


def stored_as(count: int) -> Any:
    """A function for kernels: stores the first `count` lanes of a block, rounded."""

    def store(e: Emitter, target: Value, value: Value) -> None:
        e.store(target, narrowed(e, _first_lanes(e, value, count), host.has_bfloat16()), 2)

    return emitted(types.none(raw, block_type))(store)


def loaded_as(count: int) -> Any:
    """A function for kernels: `count` bfloat16 as a block, the other lanes zero."""

    def load(e: Emitter, source: Value) -> Value:
        return filled(e, widened(e, e.load(source, half_lanes(count), 2)))

    return emitted(block_type(raw))(load)


def of_blocks(items: int) -> Callable[..., None]:
    """nchw16c to nhwc_bf16, of which 4 or 16 items lie together. Parts share the pixels."""
    store = stored_as(items)

    def kernel(
        parameters: Conversion, source: Blocks, target: Bytes, part: int, parts: int
    ) -> None:
        p = parameters
        blocks = (p.channels + (LANES - 1)) // LANES
        mine = share(p.pixels, part, parts)
        for b in range(blocks):
            for pixel in mine:
                store(target + (pixel * p.items + b * LANES) * 2, source[b * p.pixels + pixel])
        if p.items > blocks * LANES:
            for pixel in mine:
                clear(target + (pixel * p.items + blocks * LANES) * 2, LANES * 2)

    return kernel


def to_blocks(items: int) -> Callable[..., None]:
    """nhwc_bf16 to nchw16c. Parts share the pixels."""
    load = loaded_as(items)

    def kernel(
        parameters: Conversion, source: Bytes, target: Blocks, part: int, parts: int
    ) -> None:
        p = parameters
        for b in range((p.channels + (LANES - 1)) // LANES):
            for pixel in share(p.pixels, part, parts):
                target[b * p.pixels + pixel] = load(source + (pixel * p.items + b * LANES) * 2)

    return kernel


@emitted(types.none(raw, POINTERS["float"], types.int64, types.int64))
def store_pixels(
    e: Emitter, target: Value, source: Value, plane_floats: Value, channels: Value
) -> None:
    """Stores 16 pixels, of which those of a channel lie together, as 4 rounded items each."""
    _store_pixels(e, target, source, plane_floats, channels, BLOCK)


@emitted(types.none(raw, POINTERS["float"], types.int64, types.int64))
def store_pixel(
    e: Emitter, target: Value, source: Value, plane_floats: Value, channels: Value
) -> None:
    """As `store_pixels`, one pixel."""
    _store_pixels(e, target, source, plane_floats, channels, ir.VectorType(FLOAT, 1))


def _store_pixels(
    e: Emitter, target: Value, source: Value, plane_floats: Value, channels: Value, kind: ir.Type
) -> None:
    count = kind.count
    planes = []
    for channel in range(FEW_CHANNELS):
        slot = e.variable(e.constant(kind, 0.0))
        with e.when(channels > channel):
            slot.value = e.load(source + plane_floats * (FLOAT_BYTES * channel), kind)
        planes.append(slot.value)
    joined = [
        e.builder.shuffle_vector(a.ir, b.ir, _lanes(list(range(2 * count))))
        for a, b in (planes[:2], planes[2:])
    ]
    by_pixel = [channel * count + pixel for pixel in range(count) for channel in range(4)]
    mixed = e.of(e.builder.shuffle_vector(*joined, _lanes(by_pixel)))
    e.store(target, narrowed(e, mixed, host.has_bfloat16()), 2)


def _lanes(numbers: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(INT32, len(numbers)), numbers)


def of_planes(items: int) -> Callable[..., None]:
    """planar of up to 4 channels to nhwc_bf16. Parts share the pixels."""

    def kernel(
        parameters: Conversion, source: Floats, target: Bytes, part: int, parts: int
    ) -> None:
        p = parameters
        begin, end = p.pixels * part // parts, p.pixels * (part + 1) // parts
        whole = (end - begin) // LANES
        for index in range(whole):
            first = begin + index * LANES
            store_pixels(target + first * items * 2, source + first, p.pixels, p.channels)
        for pixel in range(begin + whole * LANES, end):
            store_pixel(target + pixel * items * 2, source + pixel, p.pixels, p.channels)

    return kernel


def place_items(
    parameters: PlacedItems, source: Bytes, target: Bytes, part: int, parts: int
) -> None:
    """Copies an image's channels to some of the output's. Parts share the pixels."""
    p = parameters
    end = p.first + p.channels
    for pixel in share(p.pixels, part, parts):
        goal = target + pixel * p.output_items * 2
        copy(goal + p.first * 2, source + pixel * p.items * 2, p.channels * 2)
        if p.is_last:
            clear(goal + end * 2, (p.output_items - end) * 2)
