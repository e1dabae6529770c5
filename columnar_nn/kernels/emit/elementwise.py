"""Functions of each element, with constants that differ by channel: one loop for all."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from columnar_nn.kernels.emit.emitter import BLOCK, BYTE, FLOAT, INT32, Emitter, Value
from columnar_nn.kernels.host import LANES

BLOCK_BYTES = 4 * LANES


def _constant(e: Emitter, number: float) -> Value:
    return e.constant(BLOCK, number)


def maximum(e: Emitter, a: Value, b: Value) -> Value:
    """The greater, or NaN where either is NaN."""
    return a.is_nan().select(a, e.greatest(a, b))


def minimum(e: Emitter, a: Value, b: Value) -> Value:
    """The lesser, or NaN where either is NaN."""
    return a.is_nan().select(a, e.least(a, b))


def exponential(e: Emitter, x: Value) -> Value:
    """exp(x) within 2 ulp: x = n ln 2 + r, a polynomial of r, and n added to the exponent.

    Below -87 it stays at the smallest normal numbers; above 88.7 it is infinite. Polynomial and
    the two parts of ln 2 are those of the Cephes library.
    """
    bounded = e.clamp(x, _constant(e, -87.0), _constant(e, 89.0))
    magic = 12582912.0  # 1.5 * 2**23: adding it rounds to an integer
    rounded = bounded * 1.4426950408889634 + magic - magic
    rest = e.multiply_add(rounded, _constant(e, -0.693359375), bounded)
    rest = e.multiply_add(rounded, _constant(e, 2.12194440e-4), rest)
    series = _constant(e, 1.9875691500e-4)
    for factor in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5):
        series = e.multiply_add(series, rest, _constant(e, factor))
    value = e.multiply_add(series, rest * rest, rest) + 1.0
    builder, integers = e.builder, ir.VectorType(INT32, LANES)
    count = e.of(builder.fptosi(rounded.ir, integers))
    half = e.of(builder.ashr(count.ir, count.constant(1)))
    for exponent in (half, count - half):  # in two factors, since n may be 128
        bits = builder.shl((exponent + 127).ir, exponent.constant(23))
        value = value * e.of(builder.bitcast(bits, BLOCK))
    return x.is_nan().select(x, value)


def _negative(e: Emitter, x: Value) -> Value:
    return _constant(e, 0.0) - x


def _relu(e: Emitter, x: Value, _a: Value, _b: Value) -> Value:
    return (x < 0.0).select(0.0, x)


def _prelu(e: Emitter, x: Value, slope: Value, _b: Value) -> Value:
    return (x < 0.0).select(x * slope, x)


def _elu(e: Emitter, x: Value, alpha: Value, _b: Value) -> Value:
    return (x < 0.0).select(alpha * (exponential(e, x) - 1.0), x)


def _clip(e: Emitter, x: Value, low: Value, high: Value) -> Value:
    return e.clamp(x, low, high)


def _sigmoid(e: Emitter, x: Value, _a: Value, _b: Value) -> Value:
    return _constant(e, 1.0) / (exponential(e, _negative(e, x)) + 1.0)


def _tanh(e: Emitter, x: Value, _a: Value, _b: Value) -> Value:
    size = (x < 0.0).select(_negative(e, x), x)
    square = x * x
    series = _constant(e, -5.70498872745e-3)
    for factor in (2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1):
        series = e.multiply_add(series, square, _constant(e, factor))
    near = e.multiply_add(series * square, x, x)
    far = _constant(e, 1.0) - _constant(e, 2.0) / (exponential(e, size + size) + 1.0)
    return (size < 0.625).select(near, (x < 0.0).select(_negative(e, far), far))


def _hard_sigmoid(e: Emitter, x: Value, alpha: Value, beta: Value) -> Value:
    return e.clamp(e.multiply_add(alpha, x, beta), _constant(e, 0.0), _constant(e, 1.0))


def _hard_swish(e: Emitter, x: Value, _a: Value, _b: Value) -> Value:
    return x * _hard_sigmoid(e, x, _constant(e, 1 / 6), _constant(e, 0.5))


UNARY: dict[str, Callable[[Emitter, Value, Value, Value], Value]] = {
    "relu": _relu,
    "prelu": _prelu,
    "elu": _elu,
    "clip": _clip,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "divided_by": lambda e, x, divisor, _: x / divisor,
    "divided_into": lambda e, x, dividend, _: dividend / x,
    "scale_add": lambda e, x, scale, offset: e.multiply_add(x, scale, offset),
}

BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
}


def unary(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    scratch: Value,
    part: Value,
    parts: Value,
    operation: str,
) -> None:
    """output = operation(input, a, b). Parts share the blocks of every group.

    Parameters: groups, floats a group, floats in all, addresses of a, b and the mask (0 keeps,
    -1 writes zero), each of 16 floats a group.
    """
    groups, length, total, first, second, mask = e.load_words(parameters, 6)
    with e.loop(groups) as group:
        a = e.load(first + group * BLOCK_BYTES, BLOCK)
        b = e.load(second + group * BLOCK_BYTES, BLOCK)
        masked = e.load(mask + group * BLOCK_BYTES, BLOCK) < 0.0
        start = group * length * 4
        count = e.least(length, total - group * length)
        blocks = count // LANES
        begin, end = e.share(blocks, part, parts)
        with e.loop(end, begin) as block:
            place = start + block * BLOCK_BYTES
            value = UNARY[operation](e, e.load(source + place, BLOCK), a, b)
            e.store(target + place, masked.select(0.0, value))
        rest = (count - blocks * LANES) * 4
        with e.when(rest.differs(0) & (part + 1).equals(parts)):
            place = start + blocks * BLOCK_BYTES
            e.copy(scratch, source + place, rest)
            e.store(scratch, UNARY[operation](e, e.load(scratch, BLOCK), a, b))
            e.copy(target + place, scratch, rest)


def binary(
    e: Emitter,
    parameters: Value,
    source: Value,
    second: Value,
    target: Value,
    scratch: Value,
    part: Value,
    parts: Value,
    operation: str,
) -> None:
    """output = input operation second input. Parts share the blocks of every group.

    Parameters: groups, floats a group, floats in all, address of the mask, and whether the
    second input is a block of 16 a group rather than of the first's shape.
    """
    groups, length, total, mask, by_channel = e.load_words(parameters, 5)
    with e.loop(groups) as group:
        masked = e.load(mask + group * BLOCK_BYTES, BLOCK) < 0.0
        start = group * length * 4
        count = e.least(length, total - group * length)
        blocks = count // LANES
        one = by_channel.differs(0)
        other = second + one.select(group * BLOCK_BYTES, start)
        step = one.select(e.word(0), e.word(BLOCK_BYTES))
        begin, end = e.share(blocks, part, parts)
        with e.loop(end, begin) as block:
            place = start + block * BLOCK_BYTES
            y = e.load(other + block * step, BLOCK)
            value = BINARY[operation](e.load(source + place, BLOCK), y)
            e.store(target + place, masked.select(0.0, value))
        rest = (count - blocks * LANES) * 4
        with e.when(rest.differs(0) & (part + 1).equals(parts)):
            place = start + blocks * BLOCK_BYTES
            beside = scratch + BLOCK_BYTES
            e.copy(scratch, source + place, rest)
            e.copy(beside, other + blocks * step, rest)
            value = BINARY[operation](e.load(scratch, BLOCK), e.load(beside, BLOCK))
            e.store(scratch, value)
            e.copy(target + place, scratch, rest)


def pixels(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
) -> None:
    """output = uint8 pixels * scale, as float32. Parameters: count, address of the scale."""
    count, scale_place = e.load_words(parameters, 2)
    scale = e.load(scale_place, FLOAT)
    scales = e.splat(scale, LANES)
    builder = e.builder
    begin, end = e.share(count // LANES, part, parts)
    with e.loop(end, begin) as block:
        bytes_ = e.load(source + block * LANES, ir.VectorType(BYTE, LANES), 1)
        value = e.of(builder.uitofp(bytes_.ir, BLOCK))
        e.store(target + block * BLOCK_BYTES, value * scales)
    with e.when((part + 1).equals(parts)), e.loop(count, count // LANES * LANES) as index:
        value = e.of(builder.uitofp(e.load(source + index, BYTE, 1).ir, FLOAT))
        e.store(target + index * 4, value * scale)
