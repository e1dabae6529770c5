"""Element-wise functions of one tensor, under ONNX's names.

A function of each element is declared as a user declares one, by a decorator: Python that becomes
kernels, and is what convolutions and dense layers apply to what they store.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.declaration import computes, function_of_elements
from columnar_nn.functions.elementary import exp
from columnar_nn.functions.scale_add import beside_constant, with_any_constant
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.kernels import PythonFunction
from columnar_nn.kernels.primitives import clamp, fma, where

FUNCTIONS: list[VectorFunction] = []

_computes = partial(computes, FUNCTIONS)


@_computes("Celu")
def celu(x: float, alpha: float) -> float:
    """Exponential linear unit whose slope is continuous."""
    return where(x < 0.0, alpha * (math.exp(x / alpha) - 1.0), x)


@_computes("Elu")
def elu(x: float, alpha: float) -> float:
    """Exponential linear unit."""
    return where(x < 0.0, alpha * (math.exp(x) - 1.0), x)


@_computes("HardSigmoid")
def hard_sigmoid(x: float, alpha: float, beta: float) -> float:
    """Three straight lines."""
    return clamp(fma(alpha, x, beta), 0.0, 1.0)


@_computes("HardSwish")
def hard_swish(x: float) -> float:
    """x times ONNX's hard sigmoid with alpha 1/6."""
    return x * clamp(fma(1 / 6, x, 0.5), 0.0, 1.0)


@_computes("LeakyRelu")
def leaky_relu(x: float, alpha: float) -> float:
    """Two straight lines."""
    return where(x < 0.0, x * alpha, x)


@_computes("Mish")
def mish(x: float) -> float:
    """x tanh(softplus(x)): with p = exp(x) the factor is (p p + 2 p) / (p p + 2 p + 2)."""
    power = exp(clamp(x, -100.0, 20.0))
    square = power * (power + 2.0)
    return x * (square / (square + 2.0))


@_computes("Selu")
def selu(x: float, alpha: float, gamma: float) -> float:
    """Scaled exponential linear unit."""
    return gamma * where(x < 0.0, alpha * (math.exp(x) - 1.0), x)


@_computes("Sigmoid")
def sigmoid(x: float) -> float:
    """The logistic function."""
    return 1.0 / (math.exp(0.0 - x) + 1.0)


@_computes("Softplus")
def softplus(x: float) -> float:
    """log(exp(x) + 1), without overflow."""
    return where(x > 0.0, x, 0.0) + math.log1p(exp(-abs(x)))


@_computes("Softsign")
def softsign(x: float) -> float:
    """x over 1 and its magnitude."""
    return x / (abs(x) + 1.0)


@_computes("Tanh")
def tanh(x: float) -> float:
    """The hyperbolic tangent."""
    return math.tanh(x)


@_computes("ThresholdedRelu")
def thresholded_relu(x: float, alpha: float) -> float:
    """Zero up to alpha."""
    return where(x <= alpha, 0.0, x)


def gelu(x: float) -> float:
    """Gaussian error linear unit: x times the share of a normal distribution below x."""
    return 0.5 * x * math.erfc(x * -0.7071067811865476)


def gelu_tanh(x: float) -> float:
    """Its approximation by tanh, which is written as the logistic function."""
    return x / (math.exp(x * fma(x * x, -0.0713548162726009, -1.5957691216057308)) + 1.0)


def silu(x: float) -> float:
    """Sigmoid linear unit, x sigmoid(x)."""
    return x / (math.exp(-x) + 1.0)


FUNCTIONS += [function_of_elements(function) for function in (gelu, gelu_tanh, silu)]

PRELU = PythonFunction.of("prelu", leaky_relu)


def _prelu(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """The leaky one with slopes that are a weight."""
    (slope,) = call.weights
    source = beside_constant(assembly, values[0], slope)
    result = assembly.apply(kernels.unary(source.layout, PRELU, slope), source)
    return assembly.reshaped(result, values[0].shape)


FUNCTIONS.append(VectorFunction("prelu", with_any_constant, _prelu, elements))
