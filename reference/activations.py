"""Activations: functions of one element at a time; a NaN stays a NaN."""

from __future__ import annotations

import math

import numpy as np

from reference.elementary import error_function
from reference.registry import implements
from reference.rounding import rounded, wide


@implements("Relu")
def relu(x: np.ndarray) -> np.ndarray:
    """ONNX Relu: max(x, 0)."""
    return rounded(np.maximum(x, 0))


@implements("LeakyRelu")
def leaky_relu(x: np.ndarray, *, alpha: float) -> np.ndarray:
    """ONNX LeakyRelu: alpha * x where x < 0."""
    return rounded(np.where(x < 0, alpha * wide(x), x))


@implements("Elu")
def elu(x: np.ndarray, *, alpha: float) -> np.ndarray:
    """ONNX Elu: alpha * (exp(x) - 1) where x < 0."""
    below = np.expm1(np.minimum(wide(x), 0))
    return rounded(np.where(x < 0, alpha * below, x))


@implements("Celu")
def celu(x: np.ndarray, *, alpha: float) -> np.ndarray:
    """ONNX Celu: alpha * (exp(x / alpha) - 1) where x < 0."""
    below = np.expm1(np.minimum(wide(x), 0) / alpha)
    return rounded(np.where(x < 0, alpha * below, x))


@implements("ThresholdedRelu")
def thresholded_relu(x: np.ndarray, *, alpha: float) -> np.ndarray:
    """ONNX ThresholdedRelu: x above alpha, 0 up to it."""
    return rounded(np.where(x <= alpha, 0, x))


@implements("Softplus")
def softplus(x: np.ndarray) -> np.ndarray:
    """ONNX Softplus: log(exp(x) + 1), without overflow."""
    return rounded(np.logaddexp(wide(x), 0))


@implements("Softsign")
def softsign(x: np.ndarray) -> np.ndarray:
    """ONNX Softsign: x / (1 + |x|)."""
    values = wide(x)
    return rounded(values / (1.0 + np.abs(values)))


@implements("Mish")
def mish(x: np.ndarray) -> np.ndarray:
    """ONNX Mish: x * tanh(softplus(x))."""
    values = wide(x)
    return rounded(values * np.tanh(np.logaddexp(values, 0)))


@implements("Gelu")
def gelu(x: np.ndarray, *, approximate: str) -> np.ndarray:
    """ONNX Gelu: x / 2 * (1 + erf(x / sqrt(2))), or with tanh in the place of erf."""
    values = wide(x)
    if approximate == "none":
        return rounded(0.5 * values * (1.0 + error_function(values / math.sqrt(2.0))))
    inner = math.sqrt(2.0 / math.pi) * (values + 0.044715 * values**3)
    return rounded(0.5 * values * (1.0 + np.tanh(inner)))


@implements("Selu")
def selu(x: np.ndarray, *, alpha: float, gamma: float) -> np.ndarray:
    """ONNX Selu: gamma * x, where x < 0 gamma * alpha * (exp(x) - 1)."""
    below = np.expm1(np.minimum(wide(x), 0))
    return rounded(gamma * np.where(x < 0, alpha * below, x))


@implements("PRelu")
def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """ONNX PRelu: slope * x where x < 0; the slope broadcasts to x."""
    return rounded(np.where(x < 0, wide(slope) * x, x))


@implements("Clip")
def clip(
    x: np.ndarray, low: np.ndarray | None = None, high: np.ndarray | None = None
) -> np.ndarray:
    """ONNX Clip: min(max(x, low), high) with scalar bounds; high wins if low > high."""
    if low is not None:
        x = np.maximum(x, low.reshape(()))
    if high is not None:
        x = np.minimum(x, high.reshape(()))
    return rounded(x)


@implements("Sigmoid")
def sigmoid(x: np.ndarray) -> np.ndarray:
    """ONNX Sigmoid: 1 / (1 + exp(-x)), without overflow on either side."""
    small = np.exp(-np.abs(wide(x)))
    return rounded(np.where(x < 0, small, 1.0) / (1.0 + small))


@implements("HardSigmoid")
def hard_sigmoid(x: np.ndarray, *, alpha: float, beta: float) -> np.ndarray:
    """ONNX HardSigmoid: alpha * x + beta kept within [0, 1]."""
    return rounded(np.clip(alpha * wide(x) + beta, 0.0, 1.0))


@implements("HardSwish")
def hard_swish(x: np.ndarray) -> np.ndarray:
    """ONNX HardSwish: x * clip(x / 6 + 1/2, 0, 1)."""
    values = wide(x)
    return rounded(values * np.clip(values / 6.0 + 0.5, 0.0, 1.0))


@implements("Tanh")
def tanh(x: np.ndarray) -> np.ndarray:
    """ONNX Tanh."""
    return rounded(np.tanh(wide(x)))
