"""ONNX operators in TensorFlow: one function each, with the semantics of opset 21.

A function takes the node (its shapes and constants known) and its float32 inputs, None for an
absent one, each in either order of dimensions; it runs once, while tf.function traces.
A new operator: see columnar_nn/model/operators.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from adapters.network_nodes import (
    average_divisors,
    output_shape,
    pad_sources,
    pad_widths,
    padding,
    strides_to_one_column,
)
from adapters.tensorflow import (  # noqa: F401 - imported to register
    along_axes,
    conv_transpose,
    elementwise,
    normalization,
    resize,
)
from adapters.tensorflow.registry import implements
from adapters.tensorflow.tensor import Tensor, aligned, channels_last, reshaped, target, transposed
from columnar_nn.model.operators import OPERATORS as ONNX_OPERATORS
from columnar_nn.model.operators import RENAMING
from columnar_nn.model.shape_rules.movement import gathered, permutation, slice_bounds
from columnar_nn.model.shape_rules.operands import Operands, fixed
from columnar_nn.model.shape_rules.window import Window, conv_window, pool_window

_CONV = {1: tf.nn.conv1d, 2: tf.nn.conv2d, 3: tf.nn.conv3d}


def unsupported_reason(operands: Operands) -> str | None:
    """Why TensorFlow cannot run this node; None if it can."""
    spatial_rank = len(operands.shape(0)) - 2
    if ONNX_OPERATORS[operands.node.op_type].window and spatial_rank not in _CONV:
        return f"{spatial_rank} spatial dimensions; TensorFlow has 1 to 3"
    volume = operands.node.op_type == "Conv" and spatial_rank == 3
    if volume and len(set(conv_window(operands).dilations)) > 1:
        return "unequal dilations in 3 dimensions; TensorFlow takes one for another"
    return None


@implements("Conv")
def conv(node: Operands, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    window = conv_window(node)
    rank = len(window.output)
    group, channels = node.attribute("group"), fixed(node.shape(0)[1], "channels")
    images = _padded(x.with_channels_last(), padding(window, node.shape(0)[2:]), 0.0)
    if strides_to_one_column(node, window):
        seen = (window.kernel_shape[-1] - 1) * window.dilations[-1] + 1
        images = images[..., :seen, :]
        window = replace(window, strides=(*window.strides[:-1], 1))
    depthwise = rank == 2 and group == channels and group > 1 and len(set(window.strides)) == 1
    # TensorFlow takes both strides and dilations only in convolutions of one or two dimensions,
    # and gives wrong outputs without a word in others: stride afterwards.
    afterwards = (rank == 3 or depthwise) and max(window.dilations) > 1 < max(window.strides)
    at_once = replace(window, strides=(1,) * rank) if afterwards else window
    if depthwise:
        result = _depthwise(images, w, at_once, channels)
    else:
        filters = transposed(w.in_onnx_order(), [*range(2, 2 + rank), 1, 0])
        strides, dilations = [1, *at_once.strides, 1], [1, *window.dilations, 1]
        # TensorFlow fuses a grouped convolution with what follows and then cannot run it.
        parts = [
            _CONV[rank](part, part_filters, strides, "VALID", dilations=dilations)
            for part, part_filters in zip(
                tf.split(images, group, axis=-1) if group > 1 else [images],
                tf.split(filters, group, axis=-1) if group > 1 else [filters],
                strict=True,
            )
        ]
        result = tf.concat(parts, axis=-1) if group > 1 else parts[0]
    result = _strided(result, window) if afterwards else result
    return channels_last(result if b is None else tf.nn.bias_add(result, b.value))


def _strided(result: Any, window: Window) -> Any:
    """Of the outputs of a window without strides those that it has with them."""
    places = zip(window.output, window.strides, strict=True)
    steps = [slice(0, (count - 1) * stride + 1, stride) for count, stride in places]
    return result[(slice(None), *steps)]


def _depthwise(images: Any, w: Tensor, window: Window, channels: int) -> Any:
    """Each channel with filters of its own; filters [C * multiplier, 1, kh, kw]."""
    kernel = w.in_onnx_order()
    multiplier = kernel.shape[0] // channels
    filters = transposed(
        kernel.reshape(channels, multiplier, *window.kernel_shape)
        if isinstance(kernel, np.ndarray)
        else tf.reshape(kernel, [channels, multiplier, *window.kernel_shape]),
        [2, 3, 0, 1],
    )
    strides = [1, *window.strides, 1]
    return tf.nn.depthwise_conv2d(images, filters, strides, "VALID", dilations=window.dilations)


@implements("MaxPool")
def max_pool(node: Operands, x: Tensor) -> Tensor:
    return _pool(node, x, "MAX", float("-inf"))


@implements("AveragePool")
def average_pool(node: Operands, x: Tensor) -> Tensor:
    window, spatial = pool_window(node), node.shape(0)[2:]
    means = _pool(node, x, "AVG", 0.0)
    divisors = average_divisors(window, spatial, bool(node.attribute("count_include_pad")))
    correction = np.float32(np.prod(window.kernel_shape)) / divisors
    if (correction == 1).all():
        return means
    return means.map(lambda value: value * correction[..., np.newaxis])


def _pool(node: Operands, x: Tensor, kind: str, outside: float) -> Tensor:
    """The largest or mean element of each window, `outside` being in the padding."""
    window = pool_window(node)
    images = _padded(x.with_channels_last(), padding(window, node.shape(0)[2:]), outside)
    # TensorFlow has no windows that are both dilated and strided, nor any with gaps between
    # them: stride afterwards.
    gaps = any(s > k for s, k in zip(window.strides, window.kernel_shape, strict=True))
    afterwards = gaps or max(window.dilations) > 1
    result = tf.nn.pool(
        images,
        window.kernel_shape,
        kind,
        strides=None if afterwards else window.strides,
        padding="VALID",
        dilations=window.dilations if afterwards else None,
    )
    result = _strided(result, window) if afterwards else result
    return channels_last(result)


@implements("GlobalAveragePool")
def global_average_pool(node: Operands, x: Tensor) -> Tensor:
    spatial_axes = [x.axis(axis) for axis in range(2, x.rank)]
    return x.map(lambda value: tf.reduce_mean(value, spatial_axes, keepdims=True))


@implements("BatchNormalization")
def batch_normalization(
    node: Operands, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    images, epsilon = x.with_channels_last(), node.attribute("epsilon")
    statistics = scale.value, bias.value, mean.value, variance.value
    if x.rank == 4:  # the operator that graph optimisation fuses with convolutions
        result = tf.raw_ops.FusedBatchNormV3(
            x=images,
            **dict(zip(("scale", "offset", "mean", "variance"), statistics, strict=True)),
            epsilon=epsilon,
            is_training=False,
        ).y
    else:
        result = tf.nn.batch_normalization(
            images, mean.value, variance.value, bias.value, scale.value, epsilon
        )
    return channels_last(result)


@implements("LRN")
def lrn(node: Operands, x: Tensor) -> Tensor:
    # tf.nn.lrn has no windows of even size.
    size, images = node.attribute("size"), x.with_channels_last()
    channels = fixed(node.shape(0)[1], "channels")
    before_channels = [(0, 0)] * (x.rank - 1)
    squares = tf.pad(images * images, [*before_channels, ((size - 1) // 2, size // 2)])
    sums = tf.add_n([squares[..., i : i + channels] for i in range(size)])
    scale = node.attribute("bias") + node.attribute("alpha") / size * sums
    return channels_last(images / scale ** node.attribute("beta"))


@implements("Gemm")
def gemm(node: Operands, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = node.attribute("alpha"), node.attribute("beta")
    transposes = bool(node.attribute("transA")), bool(node.attribute("transB"))
    product = tf.matmul(a.value, b.value, *transposes)
    product = product if alpha == 1 else alpha * product
    if c is None:
        return Tensor(product)
    if beta == 1 and node.shape(2) == (product.shape[1],):
        return Tensor(tf.nn.bias_add(product, c.value))
    return Tensor(product + beta * c.value)


@implements("MatMul")
def mat_mul(node: Operands, a: Tensor, b: Tensor) -> Tensor:
    left, right = a.in_onnx_order(), b.in_onnx_order()
    if min(a.rank, b.rank) >= 2:
        return Tensor(tf.matmul(left, right))
    left = left if a.rank > 1 else left[np.newaxis]
    right = right if b.rank > 1 else right[:, np.newaxis]
    return Tensor(tf.reshape(tf.matmul(left, right), target(node)))


@implements(*RENAMING)
def identity(node: Operands, x: Tensor) -> Tensor:
    return x


@implements("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def reshape(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    """Flatten, Reshape, Squeeze and Unsqueeze: elements keep their order."""
    return reshaped(node, x)


@implements("Transpose")
def transpose(node: Operands, x: Tensor) -> Tensor:
    return Tensor(transposed(x.in_onnx_order(), permutation(node)))


@implements("Concat")
def concat(node: Operands, *tensors: Tensor) -> Tensor:
    values, last = aligned(tensors[0].rank, tensors)
    axis = Tensor(values[0], last).axis(node.attribute("axis"))
    return Tensor(tf.concat(values, axis), last)


@implements("Pad")
def pad(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    widths, mode = pad_widths(node), node.attribute("mode")
    sizes = {axis: fixed(node.shape(0)[axis], f"axis {axis}") for axis in widths}
    value = x.value
    if mode != "constant":
        for axis, (before, after) in widths.items():
            sources = pad_sources(sizes[axis], before, after, mode)
            value = tf.gather(value, sources, axis=x.axis(axis))
        return Tensor(value, x.channels_last)
    index, added = [slice(None)] * x.rank, [(0, 0)] * x.rank
    for axis, (before, after) in widths.items():
        index[x.axis(axis)] = slice(max(0, -before), sizes[axis] - max(0, -after))
        added[x.axis(axis)] = (max(0, before), max(0, after))
    fill = node.constant(2, "the padding value")
    constant = 0.0 if fill is None else fill.item()
    return Tensor(tf.pad(value[tuple(index)], added, constant_values=constant), x.channels_last)


@implements("Slice")
def slice_(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    index = [slice(None)] * x.rank
    for axis, bounds in slice_bounds(node).items():
        index[x.axis(axis)] = bounds
    return x.map(lambda value: value[tuple(index)])


@implements("Expand")
def expand(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    shape = output_shape(node)
    value, size = x.in_onnx_order(), tf.shape(x.value)[0]
    return Tensor(tf.broadcast_to(value, [size if d is None else d for d in shape]))


@implements("Tile")
def tile(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    return Tensor(tf.tile(x.in_onnx_order(), node.integer_input(1, "the repeats")))


@implements("Gather")
def gather(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    axis, indices = gathered(node)
    return Tensor(tf.gather(x.in_onnx_order(), indices, axis=axis))


def _padded(images: Any, widths: Sequence[tuple[int, int]], value: float) -> Any:
    """The spatial dimensions of images with channels last padded by (before, after)."""
    if not any(before or after for before, after in widths):
        return images
    return tf.pad(images, [(0, 0), *widths, (0, 0)], constant_values=value)
