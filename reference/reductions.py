"""Sums, means, norms and extremes over axes, and the places of extremes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from reference.registry import implements
from reference.rounding import rounded, wide
from reference.sums import total


def _mean(values: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    count = math.prod(values.shape[axis] for axis in axes)
    mean: np.ndarray = total(values, axes, keepdims) / count
    return mean


def _greatest(values: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    greatest: np.ndarray = values.max(axis=axes, keepdims=keepdims, initial=-np.inf)
    return greatest


def _least(values: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    least: np.ndarray = values.min(axis=axes, keepdims=keepdims, initial=np.inf)
    return least


def _product(values: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    product: np.ndarray = values.prod(axis=axes, keepdims=keepdims)
    return product


def _l1(values: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return total(np.abs(values), axes, keepdims)


def _l2(values: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    norm: np.ndarray = np.sqrt(_sum_of_squares(values, axes, keepdims))
    return norm


def _sum_of_squares(values: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return total(values**2, axes, keepdims)


def _over_axes(
    reduce: Callable[[np.ndarray, tuple[int, ...], bool], np.ndarray],
) -> Callable[..., np.ndarray]:
    def reduction(
        x: np.ndarray,
        axes: np.ndarray | None = None,
        *,
        keepdims: int,
        noop_with_empty_axes: int,
    ) -> np.ndarray:
        """An ONNX reduction (opset 18): over `axes`, or over all of them if none is named.

        With `noop_with_empty_axes`, over no axis if none is named: each element by itself.
        """
        named = () if axes is None else tuple(int(axis) for axis in axes.reshape(-1))
        everything = () if noop_with_empty_axes else tuple(range(x.ndim))
        return rounded(reduce(wide(x), named or everything, bool(keepdims)))

    return reduction


for _name, _reduce in {
    "L1": _l1,
    "L2": _l2,
    "Max": _greatest,
    "Mean": _mean,
    "Min": _least,
    "Prod": _product,
    "Sum": total,
    "SumSquare": _sum_of_squares,
}.items():
    implements(f"Reduce{_name}")(_over_axes(_reduce))


@implements("ArgMax")
def arg_max(x: np.ndarray, *, axis: int, keepdims: int, select_last_index: int) -> np.ndarray:
    """ONNX ArgMax: the place of the first greatest along `axis`, or of the last one; int64."""
    if select_last_index:
        last = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis, keepdims=bool(keepdims))
        return np.asarray(last, np.int64)
    return np.asarray(np.argmax(x, axis, keepdims=bool(keepdims)), np.int64)


@implements("ArgMin")
def arg_min(x: np.ndarray, *, axis: int, keepdims: int, select_last_index: int) -> np.ndarray:
    """ONNX ArgMin: the place of the first least along `axis`, or of the last one; int64."""
    return arg_max(-x, axis=axis, keepdims=keepdims, select_last_index=select_last_index)


@implements("Hardmax")
def hardmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    """ONNX Hardmax (opset 13): 1 where the first greatest along `axis` is, 0 elsewhere."""
    ones = np.zeros_like(x)
    np.put_along_axis(ones, np.argmax(x, axis, keepdims=True), 1, axis)
    return ones


@implements("LpNormalization")
def lp_normalization(x: np.ndarray, *, axis: int, p: int) -> np.ndarray:
    """ONNX LpNormalization: x over its norm of order `p`, 1 or 2, along `axis`; 0 over 0 is 0."""
    values = wide(x)
    norm = (_l1 if p == 1 else _l2)(values, (axis,), True)
    return rounded(np.where(norm == 0, 0, values / norm))
