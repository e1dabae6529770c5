"""Normalisation by the mean and the variance of the tensor itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reference.registry import implements
from reference.rounding import rounded, wide
from reference.sums import total


def _centred(x: np.ndarray, axes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """x less its mean over `axes`, and the variance there, in the type to calculate in."""
    count = math.prod(x.shape[axis] for axis in axes)
    values = wide(x)
    values = values - total(values, axes, keepdims=True) / count
    return values, total(values * values, axes, keepdims=True) / count


@implements("LayerNormalization")
def layer_normalization(
    x: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    axis: int,
    epsilon: float,
    stash_type: int,
) -> np.ndarray:
    """ONNX LayerNormalization: (x - mean) / sqrt(variance + epsilon) * scale + bias.

    Over all axes from `axis` on. `stash_type`, the precision to calculate in, is that of all
    operators here.
    """
    values, variance = _centred(x, range(axis % x.ndim, x.ndim))
    result = values / np.sqrt(variance + epsilon) * scale
    return rounded(result if bias is None else result + bias)


@implements("GroupNormalization")
def group_normalization(
    x: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    *,
    num_groups: int,
    epsilon: float,
    stash_type: int,
) -> np.ndarray:
    """ONNX GroupNormalization (opset 21): x [N, C, ...] by the statistics of its groups of
    channels; scale and bias [C].
    """
    groups = x.reshape(len(x), num_groups, -1)
    values, variance = _centred(groups, (2,))
    normalized = (values / np.sqrt(variance + epsilon)).reshape(x.shape)
    per_channel = (-1, *(1 for _ in x.shape[2:]))
    return rounded(normalized * scale.reshape(per_channel) + bias.reshape(per_channel))


@implements("InstanceNormalization")
def instance_normalization(
    x: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, epsilon: float
) -> np.ndarray:
    """ONNX InstanceNormalization: each channel of each image by its own statistics."""
    return group_normalization(x, scale, bias, num_groups=x.shape[1], epsilon=epsilon, stash_type=1)


@implements("MeanVarianceNormalization")
def mean_variance_normalization(x: np.ndarray, *, axes: Sequence[int]) -> np.ndarray:
    """ONNX MeanVarianceNormalization: (x - mean) / (standard deviation + 1e-9) over `axes`."""
    values, variance = _centred(x, axes)
    return rounded(values / (np.sqrt(variance) + 1e-9))
