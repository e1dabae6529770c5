"""Sums as operators take them: in float64 as NumPy does, in float32 one term after another.

NumPy and BLAS keep several partial sums, by which float32 becomes over five times as accurate as
backends have to be: no measure of what float32 itself does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reference.rounding import calculation_type


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """numpy.matmul of matrices in the type to calculate in."""
    if calculation_type() is np.float64 or min(a.ndim, b.ndim) < 2:
        result: np.ndarray = np.matmul(a, b)
        return result
    sums: np.ndarray = a[..., :, :1] * b[..., :1, :]
    for k in range(1, a.shape[-1]):
        sums += a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return sums


def total(values: np.ndarray, axes: Sequence[int], keepdims: bool = False) -> np.ndarray:
    """numpy.sum over `axes` of values in the type to calculate in."""
    if calculation_type() is np.float64:
        result: np.ndarray = values.sum(axis=tuple(axes), keepdims=keepdims)
        return result
    summed = sorted(axis % values.ndim for axis in axes)
    kept = [axis for axis in range(values.ndim) if axis not in summed]
    terms = values.transpose(*kept, *summed).reshape([values.shape[axis] for axis in kept] + [-1])
    sums: np.ndarray = np.cumsum(terms, axis=-1)[..., -1]
    return np.expand_dims(sums, tuple(summed)) if keepdims else sums
