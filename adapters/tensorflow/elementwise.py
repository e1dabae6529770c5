"""Operators of each element in TensorFlow; see `operators`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from adapters.network_nodes import output_shape
from adapters.tensorflow.registry import implements
from adapters.tensorflow.tensor import Tensor, aligned
from columnar_nn.model.operators import OPERATORS as ONNX_OPERATORS
from columnar_nn.model.shape_rules.operands import Operands

_OF_ELEMENTS: dict[str, Callable[[Any], Any]] = {
    "Abs": tf.abs,
    "Ceil": tf.math.ceil,
    "Erf": tf.math.erf,
    "Exp": tf.exp,
    "Floor": tf.floor,
    "HardSwish": lambda x: x * tf.nn.relu6(x + 3.0) / 6.0,
    "Log": tf.math.log,
    "Mish": lambda x: x * tf.tanh(tf.nn.softplus(x)),
    "Neg": tf.negative,
    "Not": tf.logical_not,
    "Reciprocal": tf.math.reciprocal,
    "Relu": tf.nn.relu,
    "Round": tf.round,
    "Sigmoid": tf.sigmoid,
    "Sign": tf.sign,
    "Softplus": tf.nn.softplus,
    "Softsign": tf.nn.softsign,
    "Sqrt": tf.sqrt,
    "Tanh": tf.tanh,
}
"""Those of one tensor without attributes."""

_BROADCASTING: dict[str, Callable[..., Any]] = {
    "Add": tf.add,
    "And": tf.logical_and,
    "Div": tf.divide,
    "Equal": tf.equal,
    "Greater": tf.greater,
    "GreaterOrEqual": tf.greater_equal,
    "Less": tf.less,
    "LessOrEqual": tf.less_equal,
    "Max": tf.maximum,
    "Min": tf.minimum,
    "Mul": tf.multiply,
    "Or": tf.logical_or,
    "Pow": tf.pow,
    "Sub": tf.subtract,
    "Where": tf.where,
}
"""Those of several tensors that broadcast together."""


def _of_elements(function: Callable[[Any], Any]) -> Callable[..., Tensor]:
    return lambda node, x: x.map(function)


def _broadcasting(function: Callable[..., Any]) -> Callable[..., Tensor]:
    def operator(node: Operands, *tensors: Tensor) -> Tensor:
        values, last = aligned(len(output_shape(node)), tensors)
        return Tensor(function(*values), last)

    return operator


for _op_type, _function in _OF_ELEMENTS.items():
    implements(_op_type)(_of_elements(_function))
for _op_type, _function in _BROADCASTING.items():
    implements(_op_type)(_broadcasting(_function))


@implements("Elu")
def elu(node: Operands, x: Tensor) -> Tensor:
    alpha = node.attribute("alpha")
    return x.map(lambda value: tf.where(value < 0, alpha * tf.nn.elu(value), value))


@implements("Selu")
def selu(node: Operands, x: Tensor) -> Tensor:
    if node.node.attributes == ONNX_OPERATORS["Selu"].defaults:
        return x.map(tf.nn.selu)
    gamma = node.attribute("gamma")
    return elu(node, x).map(lambda value: gamma * value)


@implements("LeakyRelu")
def leaky_relu(node: Operands, x: Tensor) -> Tensor:
    return x.map(lambda value: tf.nn.leaky_relu(value, node.attribute("alpha")))


@implements("PRelu")
def prelu(node: Operands, x: Tensor, slope: Tensor) -> Tensor:
    (value, slopes), last = aligned(x.rank, [x, slope])
    return Tensor(tf.where(value < 0, slopes * value, value), last)


@implements("Clip")
def clip(
    node: Operands, x: Tensor, low: Tensor | None = None, high: Tensor | None = None
) -> Tensor:
    lowest, highest = node.constant(1, "min"), node.constant(2, "max")
    if lowest is not None:
        x = x.map(lambda value: tf.maximum(value, lowest.reshape(())))
    if highest is not None:
        x = x.map(lambda value: tf.minimum(value, highest.reshape(())))
    return x


@implements("HardSigmoid")
def hard_sigmoid(node: Operands, x: Tensor) -> Tensor:
    alpha, beta = node.attribute("alpha"), node.attribute("beta")
    return x.map(lambda value: tf.clip_by_value(alpha * value + beta, 0.0, 1.0))


@implements("Celu")
def celu(node: Operands, x: Tensor) -> Tensor:
    alpha = node.attribute("alpha")
    return x.map(lambda value: tf.where(value < 0, alpha * tf.nn.elu(value / alpha), value))


@implements("Gelu")
def gelu(node: Operands, x: Tensor) -> Tensor:
    by_tanh = node.attribute("approximate") == "tanh"
    return x.map(lambda value: tf.nn.gelu(value, approximate=by_tanh))


@implements("ThresholdedRelu")
def thresholded_relu(node: Operands, x: Tensor) -> Tensor:
    return x.map(lambda value: tf.where(value <= node.attribute("alpha"), 0.0, value))
