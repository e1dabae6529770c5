"""Sums, powers, extremes, comparisons and choices with NumPy's broadcasting.

Of a single operation on float32 the result rounded once is the same from float64 as from float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference.registry import implements
from reference.rounding import rounded, wide


@implements("Add")
def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX Add."""
    return rounded(np.add(a, b, dtype=np.float64))


@implements("Sub")
def sub(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX Sub."""
    return rounded(np.subtract(a, b, dtype=np.float64))


@implements("Mul")
def mul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX Mul."""
    return rounded(np.multiply(a, b, dtype=np.float64))


@implements("Div")
def div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX Div."""
    return rounded(np.divide(a, b, dtype=np.float64))


def _truth(compare: np.ufunc) -> Callable[..., np.ndarray]:
    """An operator whose result is true or false."""

    def operator(*values: np.ndarray) -> np.ndarray:
        return np.asarray(compare(*values))

    return operator


@implements("Pow")
def power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX Pow."""
    return rounded(np.power(wide(a), wide(b)))


@implements("Max")
def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX Max of two; NaN if either is NaN."""
    return rounded(np.maximum(a, b))


@implements("Min")
def minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX Min of two; NaN if either is NaN."""
    return rounded(np.minimum(a, b))


@implements("Where")
def where(condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX Where."""
    return rounded(np.where(condition, a, b))


for _op_type, _compare in {
    "And": np.logical_and,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Not": np.logical_not,
    "Or": np.logical_or,
}.items():
    implements(_op_type)(_truth(_compare))
