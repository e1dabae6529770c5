"""Normalisation of runs of elements by their own mean and variance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, packed
from columnar_nn.kernels.parameters import Blocks


class NormalizedRows(NamedTuple):
    """Of rows of `length` floats; scale and offset, if any, have one value for each of a row."""

    rows: int
    length: int
    epsilon: float
    scale: Blocks | None
    offset: Blocks | None


def normalization(
    x: Layout, epsilon: float, scale: np.ndarray | None = None, offset: np.ndarray | None = None
) -> BoundKernel:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset over the last axis, planar.

    The variance is the mean square of the differences from the mean, in a second pass.
    """
    if x.kind != "planar" or not x.shape:
        raise InvalidModelError(f"a normalisation needs a planar tensor, not {x}")
    length = x.shape[-1]
    return BoundKernel(
        name="normalization",
        function=Kernel("normalization", "normalization"),
        parameters=NormalizedRows(
            rows=math.prod(x.shape[:-1]),
            length=length,
            epsilon=epsilon,
            scale=_whole_blocks(scale, length),
            offset=_whole_blocks(offset, length),
        ),
        input_layouts=(x,),
        output_layout=x,
        scratch_floats=-(-length // LANES) * LANES,
    )


def _whole_blocks(values: np.ndarray | None, length: int) -> np.ndarray | None:
    """One value for each of `length` elements, with zeros up to a whole block."""
    if values is None:
        return None
    if values.size != length:
        raise InvalidModelError(f"{values.size} constants for rows of {length} elements")
    padded = np.zeros(-(-length // LANES) * LANES, np.float32)
    padded[:length] = values.reshape(-1)
    return packed(padded)
