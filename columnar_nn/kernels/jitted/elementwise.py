"""Functions of each element, with constants that differ by channel: one loop for all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float32, float64, types

from columnar_nn.kernels.elementwise import Binary, Pixels, Unary
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block_type, clamp, fma, where
from columnar_nn.kernels.jitted.compiler import emitted, inlined, make_tuple
from columnar_nn.kernels.jitted.emitter import BLOCK, BYTE, Emitter, Value
from columnar_nn.kernels.jitted.exponential import exponential, tanh
from columnar_nn.kernels.jitted.memory import ITEMS, POINTERS, blocks, copy, floats, share
from columnar_nn.kernels.parameters import Bytes, Floats


@inlined
def relu(x: Any) -> Any:
    """NaN stays NaN, as in all of these."""
    return where(x < 0.0, 0.0, x)


@inlined
def prelu(x: Any, slope: Any) -> Any:
    """Also the leaky one."""
    return where(x < 0.0, x * slope, x)


@inlined
def elu(x: Any, alpha: Any) -> Any:
    """Exponential linear unit."""
    return where(x < 0.0, alpha * (exponential(x) - 1.0), x)


@inlined
def clip(x: Any, low: Any, high: Any) -> Any:
    """At least low, at most high."""
    return clamp(x, low, high)


@inlined
def sigmoid(x: Any) -> Any:
    """The logistic function."""
    return 1.0 / (exponential(0.0 - x) + 1.0)


@inlined
def hard_sigmoid(x: Any, alpha: Any, beta: Any) -> Any:
    """Three straight lines."""
    return clamp(fma(alpha, x, beta), 0.0, 1.0)


@inlined
def hard_swish(x: Any) -> Any:
    """x times ONNX's hard sigmoid with alpha 1/6."""
    return x * clamp(fma(1 / 6, x, 0.5), 0.0, 1.0)


@inlined
def divided_by(x: Any, divisor: Any) -> Any:
    """x / divisor."""
    return x / divisor


@inlined
def divided_into(x: Any, dividend: Any) -> Any:
    """dividend / x."""
    return dividend / x


@inlined
def scale_add(x: Any, scale: Any, offset: Any) -> Any:
    """x * scale + offset."""
    return fma(x, scale, offset)


@inlined
def add(x: Any, y: Any) -> Any:
    """x + y."""
    return x + y


@inlined
def sub(x: Any, y: Any) -> Any:
    """x - y."""
    return x - y


@inlined
def mul(x: Any, y: Any) -> Any:
    """x * y."""
    return x * y


@inlined
def div(x: Any, y: Any) -> Any:
    """x / y."""
    return x / y


UNARY: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(relu, prelu, elu, clip, sigmoid, tanh, hard_sigmoid, hard_swish),
        *(divided_by, divided_into, scale_add),
    )
}
"""Of a block and a block of each constant."""

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    function.__name__: function for function in (add, sub, mul, div)
}
"""Of a block of each tensor."""


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


def unary(operation: str, num_constants: int) -> Callable[..., None]:
    """output = operation(input, *constants). Parts share the blocks of every group."""
    return of_blocks(UNARY[operation], num_constants)


def of_blocks(function: Callable[..., Any], num_constants: int) -> Callable[..., None]:
    """As `unary`, of a function of blocks."""
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
    """As `unary`, of a function of float64 numbers; each constant is one number for all."""
    constants_at = tuple_of(types.float32, "float", num_constants, LANES)

    def kernel(parameters: Unary, source: Floats, target: Floats, part: int, parts: int) -> None:
        p = parameters
        constants = constants_at(floats(p.constants))
        for group in range(p.groups):
            lanes, start = floats(p.mask + group), group * p.length
            for index in share(min(p.length, p.total - start), part, parts):
                value = float32(function(float64(source[start + index]), *constants))
                target[start + index] = float32(0) if lanes[index % LANES] < 0.0 else value

    return kernel


def binary(operation: str) -> Callable[..., None]:
    """output = input operation second input. Parts share the blocks of every group."""
    function = BINARY[operation]

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
