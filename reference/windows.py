"""Sliding windows over the spatial dimensions of [N, C, spatial...] arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reference.rounding import wide


@dataclass(frozen=True)
class Axis:
    """Windows along one spatial dimension.

    `count` windows, window i starting at i * stride of the array padded by `before` and
    `after`; its entries are `dilation` apart. `beyond` more entries after the padding are
    touched by a last window that ceil_mode keeps.
    """

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    beyond: int
    count: int


def axes_of(
    spatial: Sequence[int],
    kernel: Sequence[int],
    *,
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int = 0,
) -> list[Axis]:
    """The windows along each dimension of sizes `spatial`, by the rules of ONNX's attributes."""
    rank = len(spatial)
    axes = []
    for index, size in enumerate(spatial):
        stride = strides[index] if strides else 1
        dilation = dilations[index] if dilations else 1
        before, after = (pads[index], pads[index + rank]) if pads else (0, 0)
        span = (kernel[index] - 1) * dilation + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            count = (size + stride - 1) // stride
            missing = max(0, (count - 1) * stride + span - size)
            before = (missing + (auto_pad == "SAME_LOWER")) // 2
            after = missing - before
        else:
            last_start = size + before + after - span
            count = last_start // stride + 1
            if ceil_mode:
                count = -(-last_start // stride) + 1
                if (count - 1) * stride >= size + before:  # it starts in the padding after
                    count -= 1
        beyond = max(0, (count - 1) * stride + span - (before + size + after))
        axes.append(Axis(kernel[index], stride, dilation, before, after, beyond, count))
    return axes


def padded(x: np.ndarray, axes: Sequence[Axis], value: float) -> np.ndarray:
    """`x`, in the type to calculate in, with `value` in the padding and beyond it."""
    widths = [(0, 0), (0, 0), *((a.before, a.after + a.beyond) for a in axes)]
    return np.pad(wide(x), widths, constant_values=value)


def windows(x: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """View [N, C, count..., kernel...] of the padded array `x`."""
    spans = tuple((a.kernel - 1) * a.dilation + 1 for a in axes)
    every = np.lib.stride_tricks.sliding_window_view(x, spans, axis=tuple(range(2, x.ndim)))
    starts = tuple(slice(0, (a.count - 1) * a.stride + 1, a.stride) for a in axes)
    entries = tuple(slice(None, None, a.dilation) for a in axes)
    view: np.ndarray = every[(slice(None), slice(None), *starts, *entries)]
    return view
