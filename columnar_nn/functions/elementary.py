"""Elementary functions of each element of one tensor, under ONNX's names: exp, floor, sqrt ...

Declared as those of `activations` are.
"""

from __future__ import annotations

import math
from functools import partial

from columnar_nn.functions.declaration import computes
from columnar_nn.functions.vector_function import VectorFunction
from columnar_nn.kernels.primitives import where

FUNCTIONS: list[VectorFunction] = []

_computes = partial(computes, FUNCTIONS)


@_computes("Abs")
def magnitude(x: float) -> float:
    """Without its sign."""
    return abs(x)


@_computes("Ceil")
def ceil(x: float) -> float:
    """The next integer above."""
    return math.ceil(x)


@_computes("Erf")
def erf(x: float) -> float:
    """Gauss's error function."""
    return math.erf(x)


@_computes("Exp")
def exp(x: float) -> float:
    """The exponential; zero where it is no normal float32."""
    return where(x < -87.33654, 0.0, math.exp(x))


@_computes("Floor")
def floor(x: float) -> float:
    """The next integer below."""
    return math.floor(x)


@_computes("Log")
def log(x: float) -> float:
    """The natural logarithm."""
    return math.log(x)


@_computes("Neg")
def neg(x: float) -> float:
    """With the other sign."""
    return -x


@_computes("Reciprocal")
def reciprocal(x: float) -> float:
    """One over it."""
    return 1.0 / x


@_computes("Round")
def rounded(x: float) -> float:
    """The nearest integer, of two the even one."""
    below = math.floor(x)
    rest = x - below
    even = 2.0 * math.floor(0.5 * (below + 1.0))
    return where(rest < 0.5, below, where(rest > 0.5, below + 1.0, even))


@_computes("Sign")
def sign(x: float) -> float:
    """1, 0 or -1."""
    return where(x > 0.0, 1.0, where(x < 0.0, -1.0, x))


@_computes("Sqrt")
def sqrt(x: float) -> float:
    """The square root."""
    return math.sqrt(x)
