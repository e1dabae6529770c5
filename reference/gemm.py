"""Product of two matrices, scaled, plus a third."""

from __future__ import annotations

import numpy as np

from reference.rounding import rounded, wide
from reference.sums import product


def gemm(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> np.ndarray:
    """ONNX Gemm: alpha * A' B' + beta * C, with A' [M, K], B' [K, N] and C broadcast to [M, N].

    With beta = 0 C is not looked at, as in BLAS; with alpha = 0 NaN of A' B' stays NaN.
    """
    left, right = (a.T if transA else a), (b.T if transB else b)
    result = alpha * product(wide(left), wide(right))
    if c is not None and beta != 0:
        result = result + beta * wide(c)
    return rounded(result)
