"""Resizing along each axis: the nearest element, or a kernel over the elements around a place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reference.registry import implements
from reference.rounding import calculation_type, rounded, wide


@implements("Resize")
def resize(
    x: np.ndarray,
    roi: np.ndarray | None = None,
    scales: np.ndarray | None = None,
    sizes: np.ndarray | None = None,
    *,
    antialias: int,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str,
    cubic_coeff_a: float,
    exclude_outside: int,
    extrapolation_value: float,
    keep_aspect_ratio_policy: str,
    mode: str,
    nearest_mode: str,
) -> np.ndarray:
    """ONNX Resize (opset 19), axis after axis.

    Beyond its ends an axis goes on as it ends, except with `exclude_outside`, or where
    tf_crop_and_resize looks there.
    """
    named = [axis % x.ndim for axis in (range(x.ndim) if axes is None else axes)]
    result = wide(x)
    if sizes is None or not sizes.size:
        assert scales is not None
        factors = [float(scale) for scale in scales]
        counts = [int(x.shape[a] * f) for a, f in zip(named, factors, strict=True)]
    else:
        counts = [int(size) for size in sizes]
        factors = [count / x.shape[a] for a, count in zip(named, counts, strict=True)]
        if keep_aspect_ratio_policy != "stretch":
            common = min(factors) if keep_aspect_ratio_policy == "not_larger" else max(factors)
            factors = [common] * len(named)
            counts = [int(x.shape[a] * common + 0.5) for a in named]
    for index, (axis, factor, count) in enumerate(zip(named, factors, counts, strict=True)):
        region = (0.0, 1.0)
        if coordinate_transformation_mode == "tf_crop_and_resize":
            assert roi is not None
            region = (float(roi[index]), float(roi[index + len(named)]))
        size = x.shape[axis]
        rows = np.moveaxis(result, axis, 0)
        made = []
        for number in range(count):
            place = _place(number, size, count, factor, region, coordinate_transformation_mode)
            beyond = coordinate_transformation_mode == "tf_crop_and_resize" and not (
                0 <= place <= size - 1
            )
            if beyond:
                made.append(np.full_like(rows[0], extrapolation_value))
            elif mode == "nearest":
                made.append(rows[min(max(_nearest(place, nearest_mode), 0), size - 1)])
            else:
                shrink = min(factor, 1.0) if antialias else 1.0
                weights = _weights(place, mode, shrink, cubic_coeff_a)
                made.append(_sum(rows, weights, bool(exclude_outside)))
        result = np.moveaxis(np.stack(made), 0, axis)
    return rounded(np.ascontiguousarray(result))


def _place(
    number: int, size: int, count: int, factor: float, region: tuple[float, float], mode: str
) -> float:
    """The coordinate in the input of element `number` of the result."""
    width = factor * size
    if mode == "asymmetric":
        return number / factor
    if mode == "align_corners":
        return 0.0 if width == 1 else number * (size - 1) / (width - 1)
    if mode == "tf_crop_and_resize":
        start, end = (bound * (size - 1) for bound in region)
        return start + ((end - start) / 2 if width == 1 else number * (end - start) / (width - 1))
    if mode == "pytorch_half_pixel" and count == 1:
        return 0.0
    centre = (number + 0.5) / factor - 0.5
    if mode == "half_pixel_symmetric":
        return size / 2 * (1 - count / width) + centre
    return centre


def _nearest(place: float, mode: str) -> int:
    if mode == "floor":
        return math.floor(place)
    if mode == "ceil":
        return math.ceil(place)
    half_down = math.ceil(place - 0.5)
    return half_down if mode == "round_prefer_floor" else math.floor(place + 0.5)


def _weights(place: float, mode: str, shrink: float, a: float) -> dict[int, float]:
    """What the elements around a place, existing or not, weigh: the kernel at their distances."""
    reach = (1 if mode == "linear" else 2) / shrink
    around = range(math.ceil(place - reach), math.floor(place + reach) + 1)
    kernel = {i: _kernel(abs(place - i) * shrink, mode, a) for i in around}
    whole = sum(kernel.values())
    return {i: weight / whole for i, weight in kernel.items() if weight}


def _kernel(distance: float, mode: str, a: float) -> float:
    """A triangle, or the cubic of Keys (1981)."""
    if mode == "linear":
        return max(0.0, 1 - distance)
    if distance < 1:
        return (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    return a * (distance**3 - 5 * distance**2 + 8 * distance - 4) if distance < 2 else 0.0


def _sum(rows: np.ndarray, weights: dict[int, float], exclude_outside: bool) -> np.ndarray:
    last = len(rows) - 1
    if exclude_outside:
        weights = {i: weight for i, weight in weights.items() if 0 <= i <= last}
        whole = sum(weights.values())
        weights = {i: weight / whole for i, weight in weights.items()}
    total: np.ndarray = np.zeros_like(rows[0])
    for i, weight in weights.items():
        total += calculation_type()(weight) * rows[min(max(i, 0), last)]
    return total
