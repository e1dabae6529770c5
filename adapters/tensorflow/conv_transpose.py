"""ConvTranspose in TensorFlow; see `operators`."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from adapters.tensorflow.registry import implements
from adapters.tensorflow.tensor import Tensor, channels_last, transposed
from columnar_nn.model.shape_rules.operands import Operands, fixed
from columnar_nn.model.shape_rules.window import conv_transpose_window

CONV_TRANSPOSE = {1: tf.nn.conv1d_transpose, 2: tf.nn.conv2d_transpose, 3: tf.nn.conv3d_transpose}


@implements("ConvTranspose")
def conv_transpose(node: Operands, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    window, group = conv_transpose_window(node), node.attribute("group")
    rank, images = len(window.output), x.with_channels_last()
    spatial = [fixed(size, "a dimension of the image") for size in node.shape(0)[2:]]
    filters = w.in_onnx_order()
    if max(window.dilations) > 1:  # which TensorFlow does not do beside strides: zeros between
        filters = _spread(np.asarray(filters), window.dilations)
    filters = transposed(filters, [*range(2, 2 + rank), 1, 0])
    spans = [
        (size - 1) * stride + kernel
        for size, stride, kernel in zip(spatial, window.strides, filters.shape, strict=False)
    ]
    shape = [tf.shape(images)[0], *spans, filters.shape[-2]]
    results = [
        CONV_TRANSPOSE[rank](part, part_filters, shape, list(window.strides), "VALID")
        for part, part_filters in zip(
            tf.split(images, group, axis=-1), tf.split(filters, group, axis=-1), strict=True
        )
    ]
    whole = tf.concat(results, axis=-1) if group > 1 else results[0]
    widths, kept = [(0, 0)], [slice(None)]
    for i, (span, size) in enumerate(zip(spans, window.output, strict=True)):
        end = window.pads[i] + size
        kept.append(slice(window.pads[i], min(end, span)))
        widths.append((0, max(0, end - max(span, window.pads[i]))))
    made = whole[tuple(kept)]
    if any(after for _, after in widths):
        made = tf.pad(made, [*widths, (0, 0)])
    made = tf.ensure_shape(made, [None, *window.output, made.shape[-1]])
    return channels_last(made if b is None else tf.nn.bias_add(made, b.value))


def _spread(filters: np.ndarray, dilations: tuple[int, ...]) -> np.ndarray:
    """Constant filters with zeros between their entries."""
    extents = [(k - 1) * d + 1 for k, d in zip(filters.shape[2:], dilations, strict=True)]
    spread = np.zeros((*filters.shape[:2], *extents), np.float32)
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilations))] = filters
    return spread
