"""Product of two matrices, scaled, plus a third."""

from __future__ import annotations

import numpy as np

from reference.registry import implements
from reference.rounding import factors, rounded, wide
from reference.sums import product


@implements("Gemm")
def gemm(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray | None = None,
    *,
    alpha: float,
    beta: float,
    transA: int,
    transB: int,
) -> np.ndarray:
    """ONNX Gemm: alpha * A' B' + beta * C, with A' [M, K], B' [K, N] and C broadcast to [M, N].

    With beta = 0 C is not looked at, as in BLAS; with alpha = 0 NaN of A' B' stays NaN.
    """
    left, right = (a.T if transA else a), (b.T if transB else b)
    result = alpha * product(factors(left), factors(right))
    if c is not None and beta != 0:
        result = result + beta * wide(c)
    return rounded(result)
