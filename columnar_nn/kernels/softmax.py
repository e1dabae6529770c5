"""Softmax, its logarithm, and argmax over the features of an image."""

from __future__ import annotations

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout


def _check_features(x: Layout) -> None:
    if x.kind != "planar" or len(x.shape) != 1:
        raise InvalidModelError(f"softmax and argmax need planar features, not {x}")


def _softmax(x: Layout, name: str, logarithm: int) -> BoundKernel:
    _check_features(x)
    return BoundKernel(
        name=name,
        function=Kernel("softmax", "softmax", (logarithm,)),
        parameters=np.array([x.shape[0]], np.int64),
        input_layouts=(x,),
        output_layout=x,
        scratch_floats=-(-x.shape[0] // LANES) * LANES,
    )


def softmax(x: Layout) -> BoundKernel:
    """exp(x) / sum of exp(x) over planar features, from the differences to the greatest."""
    return _softmax(x, "softmax", 0)


def log_softmax(x: Layout) -> BoundKernel:
    """Natural logarithm of softmax, without the detour over exp."""
    return _softmax(x, "log_softmax", 1)


def argmax(x: Layout) -> BoundKernel:
    """Index of the greatest of planar features, the first of equal ones; int64, shape (1,)."""
    _check_features(x)
    return BoundKernel(
        name="argmax",
        function=Kernel("softmax", "argmax"),
        parameters=np.array([x.shape[0]], np.int64),
        input_layouts=(x,),
        output_layout=Layout("int64", (1,)),
    )
