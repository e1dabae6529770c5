"""Resize in TensorFlow: its image operators where they have the same taps, else sums by axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from adapters.network_nodes import same_taps
from adapters.tensorflow.registry import implements
from adapters.tensorflow.tensor import Tensor, channels_last
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.resize import Resized, Taps, resized_axes, taps

MODES = {
    "half_pixel": {"half_pixel_centers": True},
    "align_corners": {"align_corners": True},
    "asymmetric": {},
}
"""How TensorFlow's operators of images say what ONNX calls the transformation of coordinates."""


@implements("Resize")
def resize(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    resized = resized_axes(node)
    native = _native(node, resized)
    if native is not None:
        shape = node.shape(0)
        sizes = [resized[axis].count if axis in resized else shape[axis] for axis in (2, 3)]
        return channels_last(native(images=x.with_channels_last(), size=sizes))
    value = x.value
    for axis, change in resized.items():
        value = _along(value, x.axis(axis), taps(change, node.node.attributes), node)
    return Tensor(value, x.channels_last)


def _native(node: Operands, resized: Mapping[int, Resized]) -> Callable[..., Any] | None:
    """TensorFlow's operator that does the same; None if none does."""
    if min(resized) < 2 or len(node.shape(0)) != 4:
        return None
    linear = {"mode": "linear", "exclude_outside": 0, "antialias": 0}
    nearest = {"mode": "nearest", "nearest_mode": "floor"}
    for mode, arguments in MODES.items():
        coordinates = {"coordinate_transformation_mode": mode}
        if same_taps(node, resized, {**linear, **coordinates}):
            return partial(tf.raw_ops.ResizeBilinear, **arguments)
    if same_taps(node, resized, {**nearest, "coordinate_transformation_mode": "asymmetric"}):
        return partial(tf.raw_ops.ResizeNearestNeighbor)
    return None


def _along(x: Any, axis: int, axis_taps: Taps, node: Operands) -> Any:
    """The weighted sums along one axis."""
    shape = [1] * len(node.shape(0))
    shape[axis] = -1
    terms = []
    for sources, weights in zip(axis_taps.sources.T, axis_taps.weights.T, strict=True):
        term = tf.gather(x, sources, axis=axis)
        ones = bool((weights == 1).all())
        terms.append(term if ones else term * weights.astype(np.float32).reshape(shape))
    total = tf.add_n(terms)
    if axis_taps.outside.any():
        outside = axis_taps.outside.reshape(shape)
        total = tf.where(outside, node.attribute("extrapolation_value"), total)
    return total
