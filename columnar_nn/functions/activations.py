"""Element-wise functions of one tensor, under ONNX's names.

A function of each element is declared as a user declares one, by a decorator: Python that becomes
kernels, and is what convolutions and dense layers apply to what they store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.declaration import declare
from columnar_nn.functions.scale_add import beside_constant, with_any_constant
from columnar_nn.functions.vector_function import VectorFunction, elements, function_name
from columnar_nn.kernels import RELU, Activation, PythonFunction
from columnar_nn.kernels.primitives import clamp, fma, where
from columnar_nn.model.operators import OPERATORS

FUNCTIONS: list[VectorFunction] = []

Function = TypeVar("Function", bound=Callable[..., float])


def _of_operator(op_type: str) -> Callable[[Function], Function]:
    """Declares the function of each element that an operator is, its attributes as parameters."""

    def register(function: Function) -> Function:
        declared = declare(function_name(op_type), function, OPERATORS[op_type].defaults)
        FUNCTIONS.append(declared.vector_function())
        return function

    return register


def _clamps(
    attributes: Mapping[str, float], activation: Callable[[Mapping[str, Any]], Activation]
) -> Callable[[Function], Function]:
    """Declares a function that clamps, which takes layers no call: see Activation."""

    def register(function: Function) -> Function:
        declared = declare(function.__name__, function, attributes)
        FUNCTIONS.append(replace(declared.vector_function(), activation=activation))
        return function

    return register


@_clamps({}, lambda _: RELU)
def relu(x: float) -> float:
    """Zero where negative; NaN stays NaN, as in all of these."""
    return where(x < 0.0, 0.0, x)


@_clamps(
    {"min": -math.inf, "max": math.inf},
    lambda given: Activation(given.get("min", -math.inf), given.get("max", math.inf)),
)
def clip(x: float, min: float, max: float) -> float:
    """At least `min`, at most `max`, which wins where they cross."""
    return clamp(x, min, max)


@_of_operator("Elu")
def elu(x: float, alpha: float) -> float:
    """Exponential linear unit."""
    return where(x < 0.0, alpha * (math.exp(x) - 1.0), x)


@_of_operator("HardSigmoid")
def hard_sigmoid(x: float, alpha: float, beta: float) -> float:
    """Three straight lines."""
    return clamp(fma(alpha, x, beta), 0.0, 1.0)


@_of_operator("HardSwish")
def hard_swish(x: float) -> float:
    """x times ONNX's hard sigmoid with alpha 1/6."""
    return x * clamp(fma(1 / 6, x, 0.5), 0.0, 1.0)


@_of_operator("LeakyRelu")
def leaky_relu(x: float, alpha: float) -> float:
    """Two straight lines."""
    return where(x < 0.0, x * alpha, x)


@_of_operator("Selu")
def selu(x: float, alpha: float, gamma: float) -> float:
    """Scaled exponential linear unit."""
    return gamma * where(x < 0.0, alpha * (math.exp(x) - 1.0), x)


@_of_operator("Sigmoid")
def sigmoid(x: float) -> float:
    """The logistic function."""
    return 1.0 / (math.exp(0.0 - x) + 1.0)


@_of_operator("Tanh")
def tanh(x: float) -> float:
    """The hyperbolic tangent."""
    return math.tanh(x)


PRELU = PythonFunction.of("prelu", leaky_relu)


def _prelu(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """The leaky one with slopes that are a weight."""
    (slope,) = call.weights
    source = beside_constant(assembly, values[0], slope)
    result = assembly.apply(kernels.unary(source.layout, PRELU, slope), source)
    return assembly.reshaped(result, values[0].shape)


FUNCTIONS.append(VectorFunction("prelu", with_any_constant, _prelu, elements))
