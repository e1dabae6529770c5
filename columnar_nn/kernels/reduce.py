"""Means over the last axis, and local response normalisation, of planar tensors."""

from __future__ import annotations

import math
from typing import NamedTuple

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout


class Means(NamedTuple):
    """Of the means of rows of `length` floats."""

    rows: int
    length: int


class Normalization(NamedTuple):
    """Of x * (bias + factor * sum of squares) ** exponent.

    The sum runs over `before` channels before and `after` after each one, of those there are.
    """

    channels: int
    pixels: int
    before: int
    after: int
    bias: float
    factor: float
    exponent: float


def mean(x: Layout) -> BoundKernel:
    """The mean over the last axis of a planar tensor, which vanishes."""
    if x.kind != "planar" or not x.shape:
        raise InvalidModelError(f"a mean needs a planar tensor, not {x}")
    return BoundKernel(
        name="mean",
        function=Kernel("reduce", "mean"),
        parameters=Means(math.prod(x.shape[:-1]), x.shape[-1]),
        input_layouts=(x,),
        output_layout=Layout("planar", x.shape[:-1]),
        scratch_floats=LANES,
    )


def local_response_normalization(
    x: Layout, size: int, alpha: float, beta: float, bias: float
) -> BoundKernel:
    """ONNX LRN over the first axis of a planar tensor, with a window of `size` channels."""
    if x.kind != "planar" or not x.shape:
        raise InvalidModelError(f"LRN needs planar channels, not {x}")
    return BoundKernel(
        name="local_response_normalization",
        function=Kernel("reduce", "local_response_normalization"),
        parameters=Normalization(
            channels=x.shape[0],
            pixels=math.prod(x.shape[1:]),
            before=(size - 1) // 2,
            after=size // 2,
            bias=bias,
            factor=alpha / size,
            exponent=-beta,
        ),
        input_layouts=(x,),
        output_layout=x,
    )
