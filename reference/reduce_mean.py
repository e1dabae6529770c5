"""Mean over axes."""

from __future__ import annotations

import math

import numpy as np

from reference.registry import implements
from reference.rounding import rounded, wide
from reference.sums import total


@implements("ReduceMean")
def reduce_mean(
    x: np.ndarray,
    axes: np.ndarray | None = None,
    *,
    keepdims: int,
    noop_with_empty_axes: int,
) -> np.ndarray:
    """ONNX ReduceMean (opset 18): over `axes`, or over all of them if none is named."""
    named = () if axes is None else tuple(int(axis) for axis in axes.reshape(-1))
    if not named and noop_with_empty_axes:
        return x
    axes_taken = named or tuple(range(x.ndim))
    count = math.prod(x.shape[axis] for axis in axes_taken)
    return rounded(total(wide(x), axes_taken, keepdims=bool(keepdims)) / count)
