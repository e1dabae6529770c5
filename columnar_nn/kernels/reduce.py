"""Reductions of an axis, and local response normalisation, of planar tensors."""

from __future__ import annotations

import math
from typing import NamedTuple

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout

REDUCTIONS = ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square")


class Reduction(NamedTuple):
    """Of `rows` of `length` lines, each of `inner` floats, which are reduced to one line a row."""

    rows: int
    length: int
    inner: int


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


def reduction(x: Layout, operation: str) -> BoundKernel:
    """One of REDUCTIONS over the second of a planar tensor's three axes, which vanishes."""
    if x.kind != "planar" or len(x.shape) != 3:
        raise InvalidModelError(f"a reduction needs a planar tensor of three axes, not {x}")
    rows, length, inner = x.shape
    return BoundKernel(
        name=f"reduce_{operation}",
        function=Kernel("reduce", "of_runs" if inner == 1 else "of_lines", (operation,)),
        parameters=Reduction(rows, length, inner),
        input_layouts=(x,),
        output_layout=Layout("planar", (rows, inner)),
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
