"""Mean of each window, and of the whole image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reference.registry import implements
from reference.rounding import rounded, wide
from reference.sums import total
from reference.windows import axes_of, padded, windows


@implements("AveragePool")
def average_pool(
    x: np.ndarray,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int,
    count_include_pad: int,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> np.ndarray:
    """ONNX AveragePool: x [N, C, spatial...].

    The divisor counts the pixels of the window, with count_include_pad those of the padding
    too, but never what ceil_mode adds beyond the padding.
    """
    axes = axes_of(
        x.shape[2:],
        kernel_shape,
        strides=strides,
        pads=pads,
        dilations=dilations,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )
    around = [(0, 0), (0, 0), *((a.before, a.after) for a in axes)]
    beyond = [(0, 0), (0, 0), *((0, a.beyond) for a in axes)]
    counted = np.pad(np.ones((1, 1, *x.shape[2:])), around, constant_values=count_include_pad)
    counted = np.pad(counted, beyond)
    in_window = tuple(range(2 + len(axes), 2 + 2 * len(axes)))
    sums = total(windows(padded(x, axes, 0.0), axes), in_window)
    return rounded(sums / windows(counted, axes).sum(axis=in_window))


@implements("GlobalAveragePool")
def global_average_pool(x: np.ndarray) -> np.ndarray:
    """ONNX GlobalAveragePool: x [N, C, spatial...] -> [N, C, 1, ...]."""
    spatial = tuple(range(2, x.ndim))
    return rounded(total(wide(x), spatial, keepdims=True) / math.prod(x.shape[2:]))
