"""Columns and rows of tensors: where they are alike, and their root mean squares."""

from __future__ import annotations

import numpy as np


def by_column(rows: np.ndarray) -> np.ndarray:
    """Any tensor [N, C, ...] as float64 [N, C, places]; of one without C there is one column."""
    columns = rows.shape[1] if rows.ndim > 1 else 1
    places = int(np.prod(rows.shape[2:]))
    wide: np.ndarray = rows.reshape(len(rows), columns, places).astype(np.float64)
    return wide


def alike(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where both are finite, both NaN, or both the same infinity."""
    both = np.isfinite(left) & np.isfinite(right)
    alike: np.ndarray = both | (np.isnan(left) & np.isnan(right)) | (left == right)
    return alike


def sum_squares(values: np.ndarray) -> np.ndarray:
    """Sums [N, C] over the places of [N, C, places]."""
    sums: np.ndarray = np.einsum("ncp,ncp->nc", values, values)
    return sums


def root_mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Root mean squares over elements that are not zero: what ReLU cut off has no noise."""
    means: np.ndarray = np.sqrt(sums / np.maximum(counts, 1))
    return means
