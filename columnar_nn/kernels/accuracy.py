"""The stated rule that admits Winograd's tiles by their rounding error, and bounds of the error.

**What is expected.** A sum of N products in float32, one added after the other, rounds N times by
about one part in 2^25 of what it has become, so that of N independent products of variance 1 the
error's variance is (N / 2) N units. Direct convolution sums 9 C of them. Winograd's algorithm sums
C at each position (i, j) of a tile, of inputs and filters that B^T and G have enlarged, and A^T
enlarges the error again; besides, a position is rounded ROUNDINGS times in the transforms. With
normal pixels and filters its error is then, as a multiple of direct convolution's,

    growth(m) * sqrt(1 + 2 ROUNDINGS / C)
    growth(m) = mean over rows p of A^T of sum_i A^T[p, i]^2 |B^T[i]|^2 |G[i]|^2, over 9

growth is 0.56 of F(2), 1.60 of F(4), 3.19 of F(5) and 6.9 of F(6). Measured with 1 to 512 channels
the prediction holds within 15 %; other pixels and filters (rectified, smooth, of one sign, with
outliers, sums of zero) have up to 1.4 times as much. Of filters with zeros direct convolution
rounds only what is left, while the transforms fill them up: where a share d of the weights is not
zero, the multiple is 1 / sqrt(d) as large, and C counts the channels that a filter reads. So a
layer of a tile that MOST admits is within 3 times direct convolution's error, and so is a network:
the errors of its layers add up to what they would with direct convolution, each at most 3 times as
large. That admits F(2) always and F(4) from 14 channels on, if the filters have few zeros. Pixels
that are mostly zero do to the error what such filters do (up to 6 times with 93 % zeros), but are
not known when the tile is chosen.

**What is certain** is `bound`.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from columnar_nn.kernels.toom_cook import TAPS, transform

MOST = 2.2
"""Largest predicted error of an admitted tile, as a multiple of direct convolution's."""

ROUNDINGS = 6
"""Roundings of a position's value outside the sum over channels: 5 to 6, measured."""

UNIT = 2.0**-24
"""Largest relative error of rounding to float32 once."""


@functools.cache
def _matrices(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B^T, G and A^T of F(m, 3) in float64."""
    made = transform(m, float)
    return np.array(made.inputs), np.array(made.filters), np.array(made.outputs)


@functools.cache
def growth(m: int) -> float:
    """Error of F(m x m, 3 x 3) with many channels, as a multiple of direct convolution's."""
    inputs, filters, outputs = _matrices(m)
    variances = outputs**2 @ ((inputs**2).sum(axis=1) * (filters**2).sum(axis=1))
    return float(variances.mean() / TAPS**2)


def predicted(m: int, channels: float, density: float = 1.0) -> float:
    """Error of F(m x m, 3 x 3) as a multiple of direct convolution's.

    A filter reads so many channels, and a share `density` of its weights there is not zero.
    """
    return growth(m) * math.sqrt((1 + 2 * ROUNDINGS / channels) / density)


def admits(m: int, weight: np.ndarray) -> bool:
    """Whether F(m x m, 3 x 3) with `weight` [filters, channels, 3, 3] is accurate enough."""
    taps = np.count_nonzero(weight, axis=(2, 3))  # of each filter and channel
    read = np.count_nonzero(taps)
    if not read:
        return True
    filters = np.count_nonzero(taps.any(axis=1))
    return predicted(m, read / filters, taps.sum() / (read * TAPS**2)) <= MOST


@functools.cache
def tap_shares(m: int) -> np.ndarray:
    """c [m, 3]: most that a filter's tap contributes to a row of outputs on the way to it.

    That is, of a tap and the tile's pixels of at most 1 in absolute value,
    c[p, a] = sum_i |A^T[p, i]| |G[i, a]| sum_k |B^T[i, k]|; the tap's own share is 1.
    """
    inputs, filters, outputs = (np.abs(matrix) for matrix in _matrices(m))
    shares: np.ndarray = (outputs * inputs.sum(axis=1)) @ filters
    return shares


def _most_roundings(m: int, channels: int) -> int:
    """Roundings between a product and the output that it belongs to, without fused operations."""
    inputs, _, outputs = _matrices(m)
    terms = np.count_nonzero(inputs, axis=1).max() + np.count_nonzero(outputs, axis=1).max()
    return channels + 2 + 2 * 2 * int(terms)


def _sums(weight: np.ndarray, m: int) -> np.ndarray:
    """sum_ab c[p, a] c[q, b] |w[a, b]| over all channels, as [filters, m, m]; c: `tap_shares`.

    Whatever is summed on the way to an output, of pixels of at most 1, is in magnitude at most
    the greatest of its filter's.
    """
    shares = tap_shares(m)
    tap_sums = np.abs(weight).sum(axis=1, dtype=np.float64)
    sums: np.ndarray = np.einsum("pa,fab,qb->fpq", shares, tap_sums, shares)
    return sums


def largest_pixel(weight: np.ndarray, m: int) -> float:
    """Largest magnitude of pixels with which nothing in F(m x m, 3 x 3) overflows; -1 if any does.

    Where pixels are larger the outputs may still be finite: only a direct convolution can tell.
    """
    inputs, _, _ = _matrices(m)
    most = max(np.abs(inputs).sum(axis=1).max() ** 2, _sums(weight, m).max())
    largest = float(np.finfo(np.float32).max) / (1.01 * most)  # room for rounding errors
    return largest if largest > 1 else -1.0


def bound(weight: np.ndarray, m: int | None) -> float:
    """Largest possible rounding error of an output as a share of the largest pixel it depends on.

    Of `weight` [filters, channels, height, width] and F(m x m, 3 x 3), whose outputs depend on
    all channels of a tile of (m + 2) x (m + 2) pixels; or, with m None, of direct convolution,
    whose outputs depend on the pixels that they see. Bias, residual and activation round besides.

        direct    k u sum |w|,                                   k = taps x channels + 1
        F(m)      k u max_pq sum_ab c[p, a] c[q, b] |w[a, b]|,   k = channels + 2 + those of the
                                                                 transforms, c: `tap_shares`

    u is 2^-24, and k u stands for k u / (1 - k u) (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.1). Infinite weights give NaN or infinity.
    """
    if m is None:
        steps = math.prod(weight.shape[1:]) + 1
        sums = np.abs(weight).sum(axis=(1, 2, 3), dtype=np.float64)
    else:
        steps = _most_roundings(m, weight.shape[1])
        sums = _sums(weight, m)
    return float(sums.max() * steps * UNIT / (1 - steps * UNIT))


def bound_of_factors(weight: np.ndarray, m: int | None, unit: float) -> float:
    """As `bound`, where what is multiplied is rounded to a relative `unit`, and so are pixels and
    outputs; float32's own rounding is left out, as a small part of that.

        direct    3 unit sum |w|
        F(m)      2 unit (sum |w| + max_pq sum_ab c[p, a] c[q, b] |w[a, b]|)
    """
    plain = float(np.abs(weight).sum(axis=(1, 2, 3), dtype=np.float64).max())
    return 3 * unit * plain if m is None else 2 * unit * (plain + float(_sums(weight, m).max()))
