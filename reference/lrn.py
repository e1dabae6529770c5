"""Local response normalisation across channels (Krizhevsky et al., 2012)."""

from __future__ import annotations

import numpy as np

from reference.rounding import rounded, wide


def lrn(
    x: np.ndarray, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> np.ndarray:
    """ONNX LRN: x [N, C, ...] / (bias + alpha / size * sum of squares) ** beta.

    The sum of channel c runs over the channels from c - floor((size - 1) / 2) to
    c + ceil((size - 1) / 2) that exist.
    """
    squares = wide(x) ** 2
    channels = x.shape[1]
    sums = np.empty_like(squares)
    for c in range(channels):
        first, last = max(0, c - (size - 1) // 2), c + size // 2
        sums[:, c] = squares[:, first : last + 1].sum(axis=1)
    return rounded(x / (bias + alpha / size * sums) ** beta)
