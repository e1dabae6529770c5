"""ONNX Conv: the algorithm chosen and bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.errors import UsageError
from columnar_nn.kernels import direct
from columnar_nn.kernels.convolution import resolve
from columnar_nn.kernels.layout import BoundKernel, Layout

ALGORITHMS = ("auto", "direct", "winograd")


def conv2d(
    x: Layout,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    activation: str | None = None,
    algorithm: str = "auto",
    residual: bool = False,
) -> BoundKernel:
    """output = activation(x convolved with weight + bias + second input), nchw16c.

    x is nchw16c or planar (few channels, an image). `weight` is [filters, channels / groups,
    height, width], `pads` (top, left, bottom, right), `activation` None, "relu" or "relu6". The
    second input, of the output's layout, exists with `residual`. `algorithm` is "auto",
    "direct" or "winograd".
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(f"no algorithm {algorithm!r}: use {', '.join(ALGORITHMS)}")
    convolution = resolve(
        x, weight, bias, strides, pads, dilations, groups, activation, residual
    )
    return direct.bind(convolution)
