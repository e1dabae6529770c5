"""Local response normalisation across channels (Krizhevsky et al., 2012)."""

from __future__ import annotations

import numpy as np

from reference.registry import implements
from reference.rounding import rounded, wide


@implements("LRN")
def lrn(x: np.ndarray, *, size: int, alpha: float, beta: float, bias: float) -> np.ndarray:
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
