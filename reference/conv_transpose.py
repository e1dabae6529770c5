"""Transposed convolution: every input element adds its filter to the output, where it lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reference.registry import implements
from reference.rounding import factors, rounded, wide
from reference.sums import product


@implements("ConvTranspose")
def conv_transpose(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    dilations: Sequence[int],
    group: int,
    kernel_shape: Sequence[int],
    output_padding: Sequence[int],
    pads: Sequence[int],
    strides: Sequence[int],
) -> np.ndarray:
    """ONNX ConvTranspose: x [N, C, spatial...], w [C, M/group, kernel...] -> [N, M, spatial...].

    Element i of an axis and entry k of the filter add to element i * stride + k * dilation -
    pad of the result. Sizes that older files ask for are pads here.
    """
    rank, sizes = len(kernel_shape), x.shape[2:]
    filters_a_group = w.shape[1]
    spans = [
        (size - 1) * stride + (kernel - 1) * dilation + 1 + added
        for size, stride, kernel, dilation, added in zip(
            sizes, strides, kernel_shape, dilations, output_padding, strict=True
        )
    ]
    whole = np.zeros((len(x), group, filters_a_group, *spans), wide(x[:0]).dtype)
    images = factors(x).reshape(len(x), group, -1, int(np.prod(sizes)))
    filters = factors(w).reshape(group, -1, *w.shape[1:])
    for tap in np.ndindex(*kernel_shape):
        matrix = filters[(slice(None), slice(None), slice(None), *tap)].swapaxes(1, 2)
        added_here = product(matrix, images).reshape(len(x), group, filters_a_group, *sizes)
        places = tuple(
            slice(entry * dilation, entry * dilation + (size - 1) * stride + 1, stride)
            for entry, dilation, size, stride in zip(tap, dilations, sizes, strides, strict=True)
        )
        whole[(slice(None), slice(None), slice(None), *places)] += added_here
    kept = tuple(slice(pads[i], spans[i] - pads[i + rank]) for i in range(rank))
    cropped = whole[(slice(None), slice(None), slice(None), *kept)]
    result = cropped.reshape(len(x), group * filters_a_group, *cropped.shape[3:])
    if b is not None:
        result = result + wide(b).reshape(-1, *(1 for _ in sizes))
    return rounded(result)
