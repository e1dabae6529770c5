"""Softmax and its logarithm along one axis."""

from __future__ import annotations

import numpy as np

from reference.registry import implements
from reference.rounding import rounded, wide
from reference.sums import total


@implements("Softmax")
def softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    """ONNX Softmax (opset 13): exp(x) over its sum along `axis`."""
    powers = np.exp(_below_zero(x, axis))
    return rounded(powers / total(powers, (axis,), keepdims=True))


@implements("LogSoftmax")
def log_softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    """ONNX LogSoftmax (opset 13): log(softmax(x)) along `axis`."""
    shifted = _below_zero(x, axis)
    return rounded(shifted - np.log(total(np.exp(shifted), (axis,), keepdims=True)))


def _below_zero(x: np.ndarray, axis: int) -> np.ndarray:
    """x less its maximum, in float64, so that exp cannot overflow."""
    shifted: np.ndarray = wide(x) - x.max(axis=axis, keepdims=True)
    return shifted
