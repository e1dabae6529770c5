"""Matrix product with broadcast leading dimensions."""

from __future__ import annotations

import numpy as np

from reference.rounding import rounded


def mat_mul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX MatMul: numpy.matmul in float64."""
    return rounded(np.matmul(a.astype(np.float64), b.astype(np.float64)))
