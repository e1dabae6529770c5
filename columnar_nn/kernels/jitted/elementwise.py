"""Functions of each element, with constants that differ by channel: one loop for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float32

from columnar_nn.kernels.elementwise import Binary, Pixels, Unary
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block_type, clamp, fma, where
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.emitter import BLOCK, BYTE, Emitter, Value
from columnar_nn.kernels.jitted.exponential import exponential
from columnar_nn.kernels.jitted.memory import POINTERS, blocks, copy, floats, share
from columnar_nn.kernels.parameters import Bytes, Floats


@inlined
def relu(x: Any, a: Any, b: Any) -> Any:
    """NaN stays NaN, as in all of these."""
    return where(x < 0.0, 0.0, x)


@inlined
def prelu(x: Any, slope: Any, b: Any) -> Any:
    """Also the leaky one."""
    return where(x < 0.0, x * slope, x)


@inlined
def elu(x: Any, alpha: Any, b: Any) -> Any:
    """Exponential linear unit."""
    return where(x < 0.0, alpha * (exponential(x) - 1.0), x)


@inlined
def clip(x: Any, low: Any, high: Any) -> Any:
    """At least low, at most high."""
    return clamp(x, low, high)


@inlined
def sigmoid(x: Any, a: Any, b: Any) -> Any:
    """The logistic function."""
    return 1.0 / (exponential(0.0 - x) + 1.0)


@inlined
def tanh(x: Any, a: Any, b: Any) -> Any:
    """A polynomial of the Cephes library near zero, by exp elsewhere."""
    size = where(x < 0.0, 0.0 - x, x)
    square = x * x
    series = fma(-5.70498872745e-3, square, 2.06390887954e-2)
    series = fma(series, square, -5.37397155531e-2)
    series = fma(series, square, 1.33314422036e-1)
    series = fma(series, square, -3.33332819422e-1)
    near = fma(series * square, x, x)
    far = 1.0 - 2.0 / (exponential(size + size) + 1.0)
    return where(size < 0.625, near, where(x < 0.0, 0.0 - far, far))


@inlined
def hard_sigmoid(x: Any, alpha: Any, beta: Any) -> Any:
    """Three straight lines."""
    return clamp(fma(alpha, x, beta), 0.0, 1.0)


@inlined
def hard_swish(x: Any, a: Any, b: Any) -> Any:
    """x times ONNX's hard sigmoid with alpha 1/6."""
    return x * clamp(fma(1 / 6, x, 0.5), 0.0, 1.0)


@inlined
def divided_by(x: Any, divisor: Any, b: Any) -> Any:
    """x / divisor."""
    return x / divisor


@inlined
def divided_into(x: Any, dividend: Any, b: Any) -> Any:
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


UNARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    function.__name__: function
    for function in (
        *(relu, prelu, elu, clip, sigmoid, tanh, hard_sigmoid, hard_swish),
        *(divided_by, divided_into, scale_add),
    )
}
"""Of a block and the blocks of both constants."""

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    function.__name__: function for function in (add, sub, mul, div)
}
"""Of a block of each tensor."""


def unary(operation: str) -> Callable[..., None]:
    """output = operation(input, a, b). Parts share the blocks of every group."""
    function = UNARY[operation]

    def kernel(
        parameters: Unary, source: Floats, target: Floats, scratch: Floats, part: int, parts: int
    ) -> None:
        p = parameters
        for group in range(p.groups):
            a, b, masked = p.a[group], p.b[group], p.mask[group] < 0.0
            start = group * p.length
            count = min(p.length, p.total - start)
            whole = count // LANES
            inputs, outputs = blocks(source + start), blocks(target + start)
            for index in share(whole, part, parts):
                outputs[index] = where(masked, 0.0, function(inputs[index], a, b))
            rest = count - whole * LANES
            if rest and part + 1 == parts:
                last = blocks(scratch)
                copy(scratch, floats(inputs + whole), rest)
                last[0] = function(last[0], a, b)
                copy(floats(outputs + whole), scratch, rest)

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
