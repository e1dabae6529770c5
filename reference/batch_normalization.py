"""Batch normalisation with the statistics of training."""

from __future__ import annotations

import numpy as np

from reference.rounding import rounded, wide


def batch_normalization(
    x: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> np.ndarray:
    """ONNX BatchNormalization in inference: x [N, C, ...], the rest [C].

    (x - mean) / sqrt(variance + epsilon) * scale + bias; `momentum` matters in training only,
    which raises ValueError.
    """
    if training_mode:
        raise ValueError("batch normalisation is evaluated in inference mode only")
    per_channel = (-1, *(1 for _ in x.shape[2:]))
    scale, bias, mean, variance = (
        wide(v).reshape(per_channel) for v in (scale, bias, mean, variance)
    )
    normalized = (x - mean) / np.sqrt(variance + epsilon)
    return rounded(normalized * scale + bias)
