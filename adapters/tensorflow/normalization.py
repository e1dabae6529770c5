"""Operators in TensorFlow that normalise by statistics of the tensor itself; see `operators`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from adapters.tensorflow.registry import implements
from adapters.tensorflow.tensor import Tensor, channels_last
from columnar_nn.model.shape_rules.operands import Operands, fixed, normalized_axis


def _normalized(value: Any, axes: Sequence[int], epsilon: float, scale: Any, bias: Any) -> Any:
    """(value - mean) / sqrt(variance + epsilon) * scale + bias over the axes.

    Not by tf.nn.moments: graph optimisation takes what follows them, as Keras has it, for a layer
    normalisation of its own, whose epsilon is always 0.001, or for that of two spatial dimensions.
    """
    centred = value - tf.reduce_mean(value, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    result = centred * (tf.math.rsqrt(variance + epsilon) * scale)
    return result if bias is None else result + bias


@implements("LayerNormalization")
def layer_normalization(
    node: Operands, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> Tensor:
    axes = list(range(normalized_axis(node.attribute("axis"), x.rank), x.rank))
    offset = None if bias is None else bias.in_onnx_order()
    epsilon = node.attribute("epsilon")
    value = x.in_onnx_order()
    return Tensor(_normalized(value, axes, epsilon, scale.in_onnx_order(), offset))


@implements("InstanceNormalization")
def instance_normalization(node: Operands, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    images, axes = x.with_channels_last(), list(range(1, x.rank - 1))
    epsilon = node.attribute("epsilon")
    return channels_last(_normalized(images, axes, epsilon, scale.value, bias.value))


@implements("GroupNormalization")
def group_normalization(node: Operands, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    images, groups = x.with_channels_last(), node.attribute("num_groups")
    spatial = [fixed(size, "a dimension of the image") for size in node.shape(0)[2:]]
    channels = fixed(node.shape(0)[1], "channels")
    apart = tf.reshape(images, [-1, *spatial, groups, channels // groups])
    axes = [*range(1, x.rank - 1), x.rank]
    constants = [
        np.reshape(given.value, (groups, channels // groups))
        if isinstance(given.value, np.ndarray)
        else tf.reshape(given.value, (groups, channels // groups))
        for given in (scale, bias)
    ]
    result = _normalized(apart, axes, node.attribute("epsilon"), *constants)
    return channels_last(tf.reshape(result, [-1, *spatial, channels]))


@implements("MeanVarianceNormalization")
def mean_variance_normalization(node: Operands, x: Tensor) -> Tensor:
    axes = [x.axis(axis) for axis in node.attribute("axes")]
    mean, variance = tf.nn.moments(x.value, axes, keepdims=True)
    return x.map(lambda value: (value - mean) / (tf.sqrt(variance) + 1e-9))
