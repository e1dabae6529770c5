"""log and log1p of a block."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block_type
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.emitter import BLOCK, INT32, Emitter, Value
from columnar_nn.kernels.primitives import fma, where

_ONE, _ROOT = 0x3F800000, 0x3F3504F3  # 1 and the root of 1/2, as float32's bits
_SMALLEST = 2.0**-126
"""Of normal numbers."""


def _bits(e: Emitter, x: Value) -> Value:
    """How far a float32's bits are above those of the root of 1/2, and 1's exponent."""
    bits = e.of(e.builder.bitcast(x.ir, ir.VectorType(INT32, LANES)))
    return bits + (_ONE - _ROOT)


@emitted(block_type(block_type))
def exponent(e: Emitter, x: Value) -> Value:
    """k of x = 2**k m, m from the root of 1/2 to that of 2, for positive normal numbers."""
    bits = _bits(e, x)
    shifted = e.of(e.builder.ashr(bits.ir, bits.constant(23)))
    return e.of(e.builder.sitofp((shifted - 127).ir, BLOCK))


@emitted(block_type(block_type))
def mantissa(e: Emitter, x: Value) -> Value:
    """m of `exponent`."""
    return e.of(e.builder.bitcast(((_bits(e, x) & 0x7FFFFF) + _ROOT).ir, BLOCK))


@inlined
def logarithm(x: Any) -> Any:
    """log(x) within 1 ulp: k ln 2 + log(1 + f), by a polynomial of f / (2 + f).

    The polynomial and the two parts of ln 2 are those of FreeBSD's logf (e_logf.c).
    """
    is_small = x < _SMALLEST
    scaled = where(is_small, x * 33554432.0, x)  # 2**25
    power = exponent(scaled) - where(is_small, 25.0, 0.0)
    f = mantissa(scaled) - 1.0
    s = f / (f + 2.0)
    z = s * s
    w = z * z
    series = fma(w, 0.24279078841, 0.40000972152) * w
    series += fma(w, 0.28498786688, 0.66666662693) * z
    half = 0.5 * f * f
    low = fma(power, 9.0580006145e-06, s * (half + series))
    value = fma(power, 6.9313812256e-01, low - half + f)
    outside = where(x < 0.0, math.nan, x - math.inf)  # of zero, and of NaN
    return where(x > 0.0, where(x < math.inf, value, x), outside)


@inlined
def logarithm_of_one_and(x: Any) -> Any:
    """log(1 + x): what rounding took from 1 + x is added, over 1 + x."""
    whole = x + 1.0
    lost = where(whole > 0.0, (x - (whole - 1.0)) / whole, 0.0)
    return logarithm(whole) + where(whole < 16777216.0, lost, 0.0)  # 2**24
