"""Functions of each element, with constants that differ by channel: one loop for all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float32, float64, types

from columnar_nn.kernels.elementwise import Binary, Pixels, Unary
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block_type
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.convention import make_tuple
from columnar_nn.kernels.jitted.emitter import BLOCK, BYTE, Emitter, Value
from columnar_nn.kernels.jitted.memory import (
    ITEMS,
    POINTERS,
    address_of,
    blocks,
    copy,
    floats,
    share,
)
from columnar_nn.kernels.jitted.threads import call
from columnar_nn.kernels.parameters import Blocks, Bytes, Floats
from columnar_nn.kernels.primitives import where


@functools.cache
def tuple_of(kind: types.Type, items: str, count: int, step: int) -> Any:
    """A function for kernels: a tuple of so many items of memory, each `step` after the last."""

    def read(e: Emitter, start: Value) -> Value:
        item = ITEMS[items]
        places = [start + index * step * item.num_bytes for index in range(count)]
        values = [e.load(place, item.emitted, item.align).ir for place in places]
        return e.of(make_tuple(e.builder, made, values))

    made = types.UniTuple(kind, count) if count else types.Tuple(())
    return emitted(made(POINTERS[items]))(read)


def of_blocks(function: Callable[..., Any], num_constants: int) -> Callable[..., None]:
    """output = function(input, *constants), of blocks. Parts share the blocks of every group."""
    constants_at = tuple_of(block_type, "block", num_constants, 1)

    def kernel(
        parameters: Unary, source: Floats, target: Floats, scratch: Floats, part: int, parts: int
    ) -> None:
        p = parameters
        for group in range(p.groups):
            constants = constants_at(p.constants + group * num_constants)
            masked = p.mask[group] < 0.0
            start = group * p.length
            count = min(p.length, p.total - start)
            whole = count // LANES
            inputs, outputs = blocks(source + start), blocks(target + start)
            for index in share(whole, part, parts):
                outputs[index] = where(masked, 0.0, function(inputs[index], *constants))
            rest = count - whole * LANES
            if rest and part + 1 == parts:
                last = blocks(scratch)
                copy(scratch, floats(inputs + whole), rest)
                last[0] = function(last[0], *constants)
                copy(floats(outputs + whole), scratch, rest)

    return kernel


def of_numbers(function: Callable[..., Any], num_constants: int) -> Callable[..., None]:
    """As `of_blocks`, of float64 numbers; each constant is one number for all."""
    constants_at = tuple_of(types.float32, "float", num_constants, LANES)

    def kernel(parameters: Unary, source: Floats, target: Floats, part: int, parts: int) -> None:
        p = parameters
        constants = constants_at(floats(p.constants))
        for group in range(p.groups):
            lanes, start = floats(p.mask + group), group * p.length
            for index in share(min(p.length, p.total - start), part, parts):
                value = float32(0)
                if lanes[index % LANES] >= 0.0:  # what is masked might fail
                    value = float32(function(float64(source[start + index]), *constants))
                target[start + index] = value

    return kernel


def epilogue_of_blocks(function: Callable[..., Any], num_constants: int) -> Callable[..., None]:
    """target = function(target, *constants), of blocks: see `activation.EPILOGUE_ARGUMENTS`."""
    constants_at = tuple_of(block_type, "block", num_constants, 1)

    def kernel(constants: Blocks, target: Blocks, lines: int, columns: int, width: int) -> None:
        given = constants_at(constants)
        for line in range(lines):
            for index in range(line * width, line * width + columns):
                target[index] = function(target[index], *given)

    return kernel


def epilogue_of_numbers(function: Callable[..., Any], num_constants: int) -> Callable[..., None]:
    """As `epilogue_of_blocks`, of float64 numbers. Lanes that are masked might fail: they are not
    computed.
    """
    constants_at = tuple_of(types.float32, "float", num_constants, LANES)

    def kernel(
        constants: Floats, target: Floats, lines: int, columns: int, width: int, mask: Floats
    ) -> None:
        given = constants_at(constants)
        for line in range(lines):
            start = line * width * LANES
            for index in range(start, start + columns * LANES):
                if not mask or mask[index % LANES] >= 0.0:
                    target[index] = float32(function(float64(target[index]), *given))

    return kernel


@inlined
def apply_epilogue(
    p: Any, target: Blocks, lines: int, columns: int, width: int, masked: bool, scratch: Blocks
) -> None:
    """Calls the epilogue, if there is one, that a layer's record `p` holds."""
    if p.epilogue:
        call(
            p.epilogue,
            address_of(p.epilogue_constants),
            address_of(target),
            lines,
            columns,
            width,
            address_of(p.ragged_mask) if masked else 0,
            address_of(scratch),
        )


def binary(function: Callable[..., Any]) -> Callable[..., None]:
    """output = function(input, second input), of blocks. Parts share the blocks of every group."""

    def kernel(
        parameters: Binary,
        source: Floats,
        second: Floats,
        target: Floats,
        scratch: Floats,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        for group in range(p.groups):
            masked = p.mask[group] < 0.0
            start = group * p.length
            count = min(p.length, p.total - start)
            whole = count // LANES
            inputs, outputs = blocks(source + start), blocks(target + start)
            if p.constant:
                others = blocks(p.constant)
            else:
                others = blocks(second + (group * LANES if p.by_channel else start))
            step = 0 if p.by_channel else 1
            for index in share(whole, part, parts):
                value = function(inputs[index], others[index * step])
                outputs[index] = where(masked, 0.0, value)
            rest = count - whole * LANES
            if rest and part + 1 == parts:
                last = blocks(scratch)
                copy(scratch, floats(inputs + whole), rest)
                copy(scratch + LANES, floats(others + whole * step), rest)
                last[0] = function(last[0], last[1])
                copy(floats(outputs + whole), scratch, rest)

    return kernel


@emitted(block_type(POINTERS["byte"]))
def block_of_bytes(e: Emitter, start: Value) -> Value:
    """16 consecutive uint8 as float32."""
    pixels = e.load(start, ir.VectorType(BYTE, LANES), 1)
    return e.of(e.builder.uitofp(pixels.ir, BLOCK))


def pixels_to_float(
    parameters: Pixels, source: Bytes, target: Floats, part: int, parts: int
) -> None:
    """output = uint8 pixels * scale. Parts share the blocks; the last does the rest."""
    count, scale = parameters.num_pixels, parameters.scale
    whole, outputs = count // LANES, blocks(target)
    for index in share(whole, part, parts):
        outputs[index] = block_of_bytes(source + index * LANES) * scale
    if part + 1 == parts:
        for index in range(whole * LANES, count):
            target[index] = float32(source[index]) * scale
