"""Textbook convolution bound to weights: planar images, one multiplication after the other.

It is there to be read, and to measure the other algorithms by; see docs/kernels.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.kernels.convolution import TEXTBOOK, Convolution
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, packed
from columnar_nn.kernels.parameters import Floats


class Textbook(NamedTuple):
    """Of a convolution: each of its `groups` has so many channels and filters of its own.

    Outputs are clamped to `low` and `high`.
    """

    groups: int
    channels: int
    height: int
    width: int
    filters: int
    filter_height: int
    filter_width: int
    out_height: int
    out_width: int
    stride_y: int
    stride_x: int
    top: int
    left: int
    dilation_y: int
    dilation_x: int
    weights: Floats
    bias: Floats
    low: float
    high: float


def bind(convolution: Convolution) -> BoundKernel:
    """The convolution by its definition, from planar images to planar images."""
    source, weight = convolution.input, convolution.weight
    if source.kind != "planar":
        raise InvalidModelError(f"a textbook convolution needs a planar image, not {source}")
    target = Layout("planar", convolution.output.shape)
    filters, channels, filter_height, filter_width = weight.shape
    top, left, _, _ = convolution.pads
    activation = convolution.activation
    if activation.function is not None:
        raise UsageError("a textbook convolution clamps its outputs, and applies no other function")
    rows, columns = (_products_inside(convolution, axis) for axis in range(2))
    return BoundKernel(
        name=f"conv2d_{TEXTBOOK}_{filter_height}x{filter_width}",
        function=Kernel("textbook", "convolution"),
        parameters=Textbook(
            groups=convolution.groups,
            channels=channels,
            height=source.shape[1],
            width=source.shape[2],
            filters=filters // convolution.groups,
            filter_height=filter_height,
            filter_width=filter_width,
            out_height=target.shape[1],
            out_width=target.shape[2],
            stride_y=convolution.strides[0],
            stride_x=convolution.strides[1],
            top=top,
            left=left,
            dilation_y=convolution.dilations[0],
            dilation_x=convolution.dilations[1],
            weights=packed(weight),
            bias=packed(convolution.bias),
            low=activation.low,
            high=activation.high,
        ),
        input_layouts=(source, target) if convolution.residual else (source,),
        output_layout=target,
        multiply_adds=filters * channels * rows * columns,
    )


def _products_inside(convolution: Convolution, axis: int) -> int:
    """Of the pairs of an output's place along an axis and a tap's, those that see a pixel."""
    places = np.arange(convolution.output.shape[1 + axis]) * convolution.strides[axis]
    taps = np.arange(convolution.weight.shape[2 + axis]) * convolution.dilations[axis]
    seen = places[:, None] + taps - convolution.pads[axis]
    return int(np.count_nonzero((seen >= 0) & (seen < convolution.input.shape[1 + axis])))
