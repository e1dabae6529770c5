"""A convolution with its weights and every attribute resolved: what the algorithms bind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.activation import Activation
from columnar_nn.kernels.layout import Layout
from columnar_nn.record import ValueRecord

TEXTBOOK = "textbook"
"""The algorithm of plain loops over planar images."""


class Convolution(ValueRecord):
    """ONNX Conv of one image; weight [filters, channels a group, height, width], float32.

    `pads` is (top, left, bottom, right). With `residual` a second input of the output's layout
    is added before the activation.
    """

    input: Layout
    weight: np.ndarray
    bias: np.ndarray
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    groups: int
    activation: Activation
    residual: bool

    @property
    def output(self) -> Layout:
        """Layout of the output, nchw16c."""
        size = []
        for axis in range(2):
            extent = (self.weight.shape[2 + axis] - 1) * self.dilations[axis] + 1
            padded = self.input.shape[1 + axis] + self.pads[axis] + self.pads[axis + 2]
            size.append((padded - extent) // self.strides[axis] + 1)
        return Layout("nchw16c", (self.weight.shape[0], size[0], size[1]))

    @property
    def is_pointwise(self) -> bool:
        """Whether the filter is 1x1 and every pixel is used: a product of matrices."""
        return (
            self.weight.shape[2:] == (1, 1)
            and self.strides == (1, 1)
            and not any(self.pads)
            and self.input.kind == "nchw16c"
        )

    @property
    def is_one_pixel(self) -> bool:
        """Whether it is the product of a matrix and an image's only pixel, as in an excitation."""
        only = self.is_pointwise and self.groups == 1 and not self.residual
        return only and self.input.shape[1:] == (1, 1)

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has one filter of its own."""
        channels = self.input.shape[0]
        return self.groups == channels == self.weight.shape[0] and channels > 1

    @property
    def multiply_adds(self) -> int:
        """Multiply-accumulates that the operator needs for an image, padding counted."""
        _, height, width = self.output.shape
        return int(self.weight.size) * height * width


def resolve(
    x: Layout,
    weight: np.ndarray,
    bias: np.ndarray | None,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    activation: Activation,
    residual: bool,
) -> Convolution:
    """Checks the arguments of a convolution; raises InvalidModelError."""
    if x.kind not in ("nchw16c", "planar", "nhwc_bf16") or len(x.shape) != 3:
        raise InvalidModelError(f"a convolution needs a C x H x W input, not {x}")
    if weight.ndim != 4 or weight.shape[1] * groups != x.shape[0] or weight.shape[0] % groups:
        raise InvalidModelError(
            f"filters of shape {weight.shape} in {groups} group(s) do not fit input {x.shape}"
        )
    convolution = Convolution(
        input=x,
        weight=np.asarray(weight, np.float32),
        bias=np.zeros(weight.shape[0], np.float32) if bias is None else bias,
        strides=(strides[0], strides[1]),
        pads=(pads[0], pads[1], pads[2], pads[3]),
        dilations=(dilations[0], dilations[1]),
        groups=groups,
        activation=activation,
        residual=residual,
    )
    if min(convolution.output.shape) < 1:
        raise InvalidModelError(
            f"filters of shape {weight.shape} are larger than the padded input {x.shape}"
        )
    return convolution
