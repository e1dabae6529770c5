"""Largest value of each window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reference.registry import implements
from reference.rounding import rounded
from reference.windows import axes_of, padded, windows


@implements("MaxPool")
def max_pool(
    x: np.ndarray,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> np.ndarray:
    """ONNX MaxPool: x [N, C, spatial...]; padding never wins. The Indices output is not made."""
    axes = axes_of(
        x.shape[2:],
        kernel_shape,
        strides=strides,
        pads=pads,
        dilations=dilations,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    view = windows(padded(x, axes, -np.inf), axes)
    return rounded(view.max(axis=tuple(range(2 + len(axes), view.ndim))))
