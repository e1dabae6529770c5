"""Means over the last axis, and local response normalisation, of planar tensors."""

from __future__ import annotations

import math

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, packed
from columnar_nn.kernels.parameters import address


def mean(x: Layout) -> BoundKernel:
    """The mean over the last axis of a planar tensor, which vanishes."""
    if x.kind != "planar" or not x.shape:
        raise InvalidModelError(f"a mean needs a planar tensor, not {x}")
    return BoundKernel(
        name="mean",
        function=Kernel("reduce", "mean"),
        parameters=np.array([math.prod(x.shape[:-1]), x.shape[-1]], np.int64),
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
    constants = packed(np.array([bias, alpha / size, -beta], np.float32))
    window = [(size - 1) // 2, size // 2]
    parameters = [x.shape[0], math.prod(x.shape[1:]), *window, address(constants)]
    return BoundKernel(
        name="local_response_normalization",
        function=Kernel("reduce", "local_response_normalization"),
        parameters=np.array(parameters, np.int64),
        input_layouts=(x,),
        output_layout=x,
        keep_alive=(constants,),
    )
