"""Sums, differences, products and quotients with NumPy's broadcasting.

Of a single operation on float32 the result rounded once is the same from float64 as from float32.
"""

from __future__ import annotations

import numpy as np

from reference.registry import implements
from reference.rounding import rounded


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
