"""Matrix product with broadcast leading dimensions."""

from __future__ import annotations

import numpy as np

from reference.rounding import calculation_type, rounded, wide


def mat_mul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX MatMul: numpy.matmul."""
    return rounded(product(wide(a), wide(b)))


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """numpy.matmul; in float32 with each sum taken one product after another, as engines may.

    BLAS keeps several partial sums of a small matrix's, which is four times as accurate: no
    measure of what float32 itself does.
    """
    if calculation_type() is np.float64 or min(a.ndim, b.ndim) < 2:
        result: np.ndarray = np.matmul(a, b)
        return result
    sums: np.ndarray = a[..., :, :1] * b[..., :1, :]
    for k in range(1, a.shape[-1]):
        sums += a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return sums
