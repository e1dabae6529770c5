"""Padding and cropping."""

from __future__ import annotations

from typing import Literal

import numpy as np

from reference.registry import implements


@implements("Pad")
def pad(
    x: np.ndarray,
    pads: np.ndarray,
    value: np.ndarray | None = None,
    axes: np.ndarray | None = None,
    *,
    mode: Literal["constant", "reflect", "edge", "wrap"],
) -> np.ndarray:
    """ONNX Pad (opset 18): `pads` holds a beginning for each of `axes`, then an end for each.

    Negative entries crop. Modes: constant (`value`, default 0), reflect, edge, wrap.
    """
    named = range(x.ndim) if axes is None else [int(axis) for axis in axes]
    widths = [(0, 0)] * x.ndim
    for index, axis in enumerate(named):
        widths[axis] = (int(pads[index]), int(pads[index + len(named)]))
    cropped = x[
        tuple(slice(max(0, -b), n - max(0, -e)) for (b, e), n in zip(widths, x.shape, strict=True))
    ]
    added = [(max(0, begin), max(0, end)) for begin, end in widths]
    if mode == "constant":
        fill = x.dtype.type(0) if value is None else value.reshape(())
        return np.pad(cropped, added, constant_values=fill)
    return np.pad(cropped, added, mode=mode)
