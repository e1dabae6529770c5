"""Mean over axes."""

from __future__ import annotations

import numpy as np

from reference.rounding import calculation_type, rounded


def reduce_mean(
    x: np.ndarray,
    axes: np.ndarray | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> np.ndarray:
    """ONNX ReduceMean (opset 18): over `axes`, or over all of them if none is named."""
    named = () if axes is None else tuple(int(axis) for axis in axes.reshape(-1))
    if not named and noop_with_empty_axes:
        return x
    mean = np.mean(x, axis=named or None, keepdims=bool(keepdims), dtype=calculation_type())
    return rounded(mean)
