"""erf and erfc of a block."""

from __future__ import annotations

from typing import Any

from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.exponential import exponential
from columnar_nn.kernels.primitives import clamp, fma, where

_NEAR = 0.93
"""Up to here erf is a polynomial; beyond, erfc is the exponential of one."""

_NOTHING = 9.19
"""From here on erfc is no normal number."""


@inlined
def _near(x: Any) -> Any:
    """erf(x) where |x| < _NEAR: an odd polynomial, fitted to a relative error of 2e-8."""
    square = x * x
    series = fma(square, -0.00059537217, 0.00498593319)
    series = fma(series, square, -0.02676171064)
    series = fma(series, square, 0.11281681806)
    series = fma(series, square, -0.37612479925)
    series = fma(series, square, 0.12837915123)
    return fma(series, x, x)


@inlined
def _far(x: Any) -> Any:
    """erfc(|x|) where |x| >= _NEAR, fitted to an error of 7e-9, and of 1e-4 of itself."""
    size = clamp(abs(x), 0.0, 10.0)
    series = fma(size, -4.033637068800999e-08, 1.9770884591707727e-06)
    series = fma(series, size, -4.25432481279131e-05)
    series = fma(series, size, 0.000533179147168994)
    series = fma(series, size, -0.004373537842184305)
    series = fma(series, size, 0.025187034159898758)
    series = fma(series, size, -0.10780782997608185)
    series = fma(series, size, -0.6342375874519348)
    series = fma(series, size, -0.12886612117290497)
    return where(size > _NOTHING, 0.0, exponential(fma(series, size, 0.0 - size)))


@inlined
def error_function(x: Any) -> Any:
    """erf(x) within 1e-7."""
    far = 1.0 - _far(x)
    return where(abs(x) < _NEAR, _near(x), where(x < 0.0, 0.0 - far, far))


@inlined
def complement(x: Any) -> Any:
    """erfc(x), 1 - erf(x), without its cancellation where x is large.

    The exponential of one polynomial of |x|, fitted to an error of 2e-8 and, of what is that
    small, of 2e-4 of itself. Its terms are added up by pairs, or each would wait for the one
    before. GELU so takes 0.87 of the time that it took with two polynomials, term by term.
    """
    size = abs(x)
    square = size * size
    fourth = square * square
    low = fma(size, -0.6365978121757507, -1.1283804178237915)
    low = fma(fma(size, 0.01947099156677723, -0.1029006689786911), square, low)
    middle = fma(size, -0.0013711869250983, -0.0002626946952659637)
    middle = fma(fma(size, -0.00011376844486221671, 0.0005361253279261291), square, middle)
    high = fma(size, -1.218625243382121e-06, 1.4998490769357886e-05)
    high = fma(fma(size, -1.1053322701570778e-09, 5.586342410879297e-08), square, high)
    series = fma(fma(high, fourth, middle), fourth, low)
    beyond = where(size > _NOTHING, 0.0, exponential(series * size))
    return where(x < 0.0, 2.0 - beyond, beyond)
