"""Convolution as a product of the filters with every patch of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reference.registry import implements
from reference.rounding import factors, wide
from reference.sums import product
from reference.windows import axes_of, padded, windows

PATCH_BYTES = 64 << 20
"""Images are taken in chunks whose patches, in float64, fit into this."""

SMALL_PRODUCT = 1 << 20
"""Multiply-adds an image up to which float32 sums are taken one product after another; of larger
ones BLAS's are about as accurate as backends', and a hundred times as fast."""


@implements("Conv")
def conv(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> np.ndarray:
    """ONNX Conv: x [N, C, spatial...], w [M, C/group, kernel...], b [M] -> [N, M, spatial...].

    Filter m sees the channels of its group only: C/group of them from (m // (M/group)) on.
    """
    kernel = tuple(kernel_shape or w.shape[2:])
    axes = axes_of(
        x.shape[2:],
        kernel,
        strides=strides,
        pads=pads,
        dilations=dilations,
        auto_pad=auto_pad,
    )
    counts = tuple(a.count for a in axes)
    num_images, num_filters = x.shape[0], w.shape[0]
    patch_size, positions = w[0].size, int(np.prod(counts))
    filters = factors(w.reshape(group, num_filters // group, patch_size))
    multiply = product if num_filters * patch_size * positions <= SMALL_PRODUCT else np.matmul
    result = np.empty((num_images, num_filters, *counts), np.float32)
    chunk = max(1, PATCH_BYTES // (8 * group * patch_size * positions))
    for start in range(0, num_images, chunk):
        images = padded(factors(x[start : start + chunk]), axes, 0.0)
        view = windows(images, axes)
        # [n, C, count..., kernel...] -> [n, C, kernel..., count...]
        rank = len(axes)
        order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
        patches = view.transpose(order).reshape(len(images), group, patch_size, positions)
        products = multiply(filters, patches).reshape(len(images), num_filters, *counts)
        if b is not None:
            products += wide(b).reshape(-1, *(1 for _ in counts))
        result[start : start + chunk] = products
    return result
