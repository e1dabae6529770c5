"""Softmax, its logarithm, and places of extremes over the last axis."""

from __future__ import annotations

import math
from typing import NamedTuple

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout


class Rows(NamedTuple):
    """Of what is made of each of some rows of `length` floats."""

    rows: int
    length: int


def _softmax(x: Layout, name: str) -> BoundKernel:
    if x.kind != "planar" or not x.shape:
        raise InvalidModelError(f"softmax needs planar features, not {x}")
    length = x.shape[-1]
    return BoundKernel(
        name=name,
        function=Kernel("softmax", name),
        parameters=Rows(math.prod(x.shape[:-1]), length),
        input_layouts=(x,),
        output_layout=x,
        scratch_floats=-(-length // LANES) * LANES,
    )


def softmax(x: Layout) -> BoundKernel:
    """exp(x) / sum of exp(x) over the last axis of a planar tensor; no power overflows."""
    return _softmax(x, "softmax")


def log_softmax(x: Layout) -> BoundKernel:
    """Natural logarithm of softmax, without the detour over exp."""
    return _softmax(x, "log_softmax")


def hardmax(x: Layout) -> BoundKernel:
    """1 where the first greatest over the last axis of a planar tensor is, 0 elsewhere."""
    return _softmax(x, "hardmax")


def place_of(x: Layout, extreme: str, last: bool) -> BoundKernel:
    """Index of the greatest ("max") or least ("min") over the last axis of a planar tensor.

    Of equal ones the first, or the `last`; int64, in the shape of the other axes, or (1,).
    """
    if x.kind != "planar" or not x.shape:
        raise InvalidModelError(f"arg{extreme} needs planar features, not {x}")
    return BoundKernel(
        name=f"arg{extreme}",
        function=Kernel("softmax", "place_of", (extreme, int(last))),
        parameters=Rows(math.prod(x.shape[:-1]), x.shape[-1]),
        input_layouts=(x,),
        output_layout=Layout("int64", x.shape[:-1] or (1,)),
    )
