"""Matrix product with broadcast leading dimensions."""

from __future__ import annotations

import numpy as np

from reference.registry import implements
from reference.rounding import factors, rounded
from reference.sums import product


@implements("MatMul")
def mat_mul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX MatMul: numpy.matmul."""
    return rounded(product(factors(a), factors(b)))
