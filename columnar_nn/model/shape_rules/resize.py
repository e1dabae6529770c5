"""Resize: of which elements of an axis each element of the result is a weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Shape
from columnar_nn.model.shape_rules.operands import Operands, fixed, normalized_axes

COORDINATES = (
    *("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"),
    "tf_crop_and_resize",
)
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
POLICIES = ("stretch", "not_larger", "not_smaller")


@dataclass(frozen=True)
class Resized:
    """How one axis is resized: from `size` elements to `count`, by `scale`.

    `start` and `end` are the region of interest, as fractions of the axis.
    """

    size: int
    count: int
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class Taps:
    """Element i of the result is the sum over k of weights[i, k] * x[sources[i, k]].

    Both are of shape [count, taps], int64 and float64; where `outside` holds, bool [count], it is
    the extrapolation value instead.
    """

    sources: np.ndarray
    weights: np.ndarray
    outside: np.ndarray

    def same(self, other: Taps) -> bool:
        """Whether they are the same to float32, and none is outside."""
        return (
            np.array_equal(self.sources, other.sources)
            and np.allclose(self.weights, other.weights, rtol=0, atol=1e-6)
            and not self.outside.any()
            and not other.outside.any()
        )


def resized_axes(operands: Operands) -> dict[int, Resized]:
    """The axes that a Resize node changes; an axis that is not named stays as it is."""
    shape, node = operands.shape(0), operands.node
    named = node.attributes.get("axes")
    axes = normalized_axes(range(len(shape)) if named is None else named, len(shape))
    sizes = [fixed(shape[axis], f"axis {axis}") for axis in axes]
    scales, counts = _given(operands, 2, "the scales"), _given(operands, 3, "the sizes")
    given = counts if scales is None else scales
    if given is None or (scales is not None and counts is not None) or len(given) != len(axes):
        raise InvalidModelError(f"needs either scales or sizes, one for each of axes {axes}")
    if min(given, default=1) <= 0 or min(sizes, default=1) <= 0:
        raise InvalidModelError(f"{given} for {sizes}: scales and sizes are positive")
    policy = operands.attribute("keep_aspect_ratio_policy")
    if policy not in POLICIES:
        raise InvalidModelError(f"keep_aspect_ratio_policy {policy!r} is unknown")
    if scales is not None:
        counts = [math.floor(size * scale) for size, scale in zip(sizes, scales, strict=True)]
        if min(counts, default=1) < 1:
            raise InvalidModelError(f"{sizes} scaled by {scales} leave no element")
    else:
        assert counts is not None
        scales = [count / size for count, size in zip(counts, sizes, strict=True)]
        if policy != "stretch" and scales:
            scale = (min if policy == "not_larger" else max)(scales)
            scales = [scale] * len(axes)
            counts = [max(1, math.floor(size * scale + 0.5)) for size in sizes]
    region = [0.0] * len(axes) + [1.0] * len(axes)
    if operands.attribute("coordinate_transformation_mode") == "tf_crop_and_resize":
        given_region = _given(operands, 1, "the region")
        if given_region is None or len(given_region) != len(region):
            raise InvalidModelError(f"the region needs {len(region)} entries")
        region = given_region
    starts, ends = region[: len(axes)], region[len(axes) :]
    return {
        axis: Resized(*values)
        for axis, *values in zip(axes, sizes, map(int, counts), scales, starts, ends, strict=True)
    }


def _given(operands: Operands, index: int, what: str) -> list[float] | None:
    """A constant input as a list; None if it is absent or, as older opsets have it, empty."""
    value = operands.constant(index, what)
    return None if value is None or not value.size else [float(v) for v in value.reshape(-1)]


def resize(operands: Operands) -> tuple[Shape, ...]:
    """Resize: sizes, or scales times the input's dimensions rounded down, of the named axes."""
    check_modes(operands.node.attributes)
    result = list(operands.shape(0))
    for axis, resized in resized_axes(operands).items():
        result[axis] = resized.count
    return (tuple(result),)


def check_modes(attributes: Mapping[str, Any]) -> None:
    """Raises InvalidModelError for a mode that ONNX does not know."""
    for name, known in (
        ("mode", ("nearest", "linear", "cubic")),
        ("coordinate_transformation_mode", COORDINATES),
        ("nearest_mode", NEAREST),
    ):
        if attributes[name] not in known:
            raise InvalidModelError(f"{name} {attributes[name]!r} is unknown")


def taps(axis: Resized, attributes: Mapping[str, Any]) -> Taps:
    """The sums along an axis, by the attributes of a Resize node, all of them present."""
    places = _places(axis, attributes["coordinate_transformation_mode"])
    crops = attributes["coordinate_transformation_mode"] == "tf_crop_and_resize"
    outside = (places < 0) | (places > axis.size - 1) if crops else np.zeros(axis.count, bool)
    before = np.ceil(places) - 1  # so that the rest is in (0, 1]
    rest = places - before
    if attributes["mode"] == "nearest":
        after = {
            "round_prefer_floor": rest > 0.5,
            "round_prefer_ceil": rest >= 0.5,
            "floor": rest == 1,
            "ceil": np.ones(axis.count, bool),
        }[attributes["nearest_mode"]]
        sources, weights = (before + after)[:, np.newaxis], np.ones((axis.count, 1))
    else:
        reach = 1 if attributes["mode"] == "linear" else 2
        stretch = min(axis.scale, 1.0) if attributes["antialias"] else 1.0
        first = math.floor(-reach / stretch) + 1
        offsets = np.arange(first, 2 - first)
        distances = np.abs(offsets - rest[:, np.newaxis]) * stretch
        if reach == 1:
            weights = np.clip(1 - distances, 0, 1)
        else:
            weights = _cubic(distances, attributes["cubic_coeff_a"])
        sources = before[:, np.newaxis] + offsets
        if attributes["exclude_outside"]:
            weights = np.where((sources >= 0) & (sources < axis.size), weights, 0.0)
        weights = weights / weights.sum(axis=1, keepdims=True)
    sources = np.clip(sources, 0, axis.size - 1).astype(np.int64)
    used = weights.any(axis=0)
    return Taps(sources[:, used], weights[:, used], outside)


def _places(axis: Resized, mode: str) -> np.ndarray:
    """Where in the input each element of the result lies."""
    x, size, width = np.arange(axis.count), axis.size, axis.scale * axis.size
    if mode == "align_corners":
        return x * (size - 1) / (width - 1) if width != 1 else x * 0.0
    if mode == "asymmetric":
        return x / axis.scale
    if mode == "tf_crop_and_resize":
        region = (axis.end - axis.start) * (size - 1)
        step = x * region / (width - 1) if width != 1 else x * 0.0 + region / 2
        return axis.start * (size - 1) + step
    if mode == "pytorch_half_pixel" and axis.count == 1:
        return x * 0.0
    places = (x + 0.5) / axis.scale - 0.5
    if mode == "half_pixel_symmetric":
        places = places + size / 2 * (1 - axis.count / width)
    return places


def _cubic(distances: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at distances from 0 up."""
    d = distances
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
