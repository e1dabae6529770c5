"""Softmax, its logarithm, and argmax over the last axis."""

from __future__ import annotations

import math
from typing import NamedTuple

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout


class Rows(NamedTuple):
    """Of a softmax of each of some rows of `length` floats."""

    rows: int
    length: int


class Features(NamedTuple):
    """Of an argmax of `length` floats."""

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


def argmax(x: Layout) -> BoundKernel:
    """Index of the greatest of planar features, the first of equal ones; int64, shape (1,)."""
    if x.kind != "planar" or len(x.shape) != 1:
        raise InvalidModelError(f"argmax needs planar features, not {x}")
    return BoundKernel(
        name="argmax",
        function=Kernel("softmax", "argmax"),
        parameters=Features(x.shape[0]),
        input_layouts=(x,),
        output_layout=Layout("int64", (1,)),
    )
