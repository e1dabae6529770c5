"""exp and tanh of a block."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block_type
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.emitter import BLOCK, INT32, Emitter, Value
from columnar_nn.kernels.primitives import fma, where

_LARGEST = 88.72283
"""Whose exponential is finite; where n is 128, that of r is below 1."""


@emitted(block_type(block_type))
def exponential(e: Emitter, x: Value) -> Value:
    """exp(x) within 2 ulp: x = n ln 2 + r, a polynomial of r, and n added to the exponent.

    Below -87 it stays at the smallest normal numbers; above 88.7 it is infinite. Polynomial and
    the two parts of ln 2 are those of the Cephes library.
    """

    def constant(number: float) -> Value:
        return e.constant(BLOCK, number)

    bounded = e.greatest(constant(-87.0), x)
    magic = 12582912.0  # 1.5 * 2**23: adding it rounds to an integer, which the lowest bits are
    shifted = e.multiply_add(bounded, constant(1.4426950408889634), constant(magic))
    rounded = shifted - magic
    rest = e.multiply_add(rounded, constant(-0.693359375), bounded)
    rest = e.multiply_add(rounded, constant(2.12194440e-4), rest)
    square = rest * rest  # terms are added up by pairs, or each would wait for the one before
    series = e.multiply_add(constant(1.9875691500e-4), rest, constant(1.3981999507e-3))
    middle = e.multiply_add(constant(8.3334519073e-3), rest, constant(4.1665795894e-2))
    low = e.multiply_add(constant(1.6666665459e-1), rest, constant(0.5))
    series = e.multiply_add(e.multiply_add(series, square, middle), square, low)
    value = e.multiply_add(series, square, rest) + 1.0
    builder, integers = e.builder, ir.VectorType(INT32, LANES)
    count, bits = (e.of(builder.bitcast(v.ir, integers)) for v in (shifted, value))
    exponent = e.of(builder.shl(count.ir, count.constant(23)))
    result = e.of(builder.bitcast((bits + exponent).ir, BLOCK))
    return (x <= constant(_LARGEST)).select(result, x * 3e38)  # infinity, or NaN


@inlined
def tanh(x: Any) -> Any:
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
