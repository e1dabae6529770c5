"""Batch normalisation with the statistics of training."""

from __future__ import annotations

import numpy as np

from reference.registry import implements
from reference.rounding import rounded, wide


@implements("BatchNormalization")
def batch_normalization(
    x: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    *,
    epsilon: float,
) -> np.ndarray:
    """ONNX BatchNormalization in inference: x [N, C, ...], the rest [C].

    (x - mean) / sqrt(variance + epsilon) * scale + bias.
    """
    per_channel = (-1, *(1 for _ in x.shape[2:]))
    scale, bias, mean, variance = (
        wide(v).reshape(per_channel) for v in (scale, bias, mean, variance)
    )
    normalized = (x - mean) / np.sqrt(variance + epsilon)
    return rounded(normalized * scale + bias)
