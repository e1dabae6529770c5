"""Normalisation of runs of elements, and of groups of channels, by their own mean and variance."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, lane_mask, packed
from columnar_nn.kernels.parameters import Blocks, Floats


class NormalizedRows(NamedTuple):
    """Of rows of `length` floats; scale and offset, if any, have one value for each of a row."""

    rows: int
    length: int
    epsilon: float
    scale: Blocks | None
    offset: Blocks | None


class NormalizedGroups(NamedTuple):
    """Of planar groups of `channels` channels each; scale and offset have one value for each."""

    groups: int
    channels: int
    pixels: int
    epsilon: float
    scale: Floats
    offset: Floats


class NormalizedBlocks(NamedTuple):
    """Of groups of `group` of the channels of an nchw16c image.

    Each of the `units` has `unit_blocks` blocks, in which no group is cut. `ragged_mask` is the
    last block's lanes past the last channel, if there are any.
    """

    units: int
    unit_blocks: int
    channels: int
    group: int
    pixels: int
    epsilon: float
    scale: Blocks
    offset: Blocks
    ragged_mask: Blocks | None


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
            scale=None if scale is None else _whole_blocks(scale, length),
            offset=None if offset is None else _whole_blocks(offset, length),
        ),
        input_layouts=(x,),
        output_layout=x,
        scratch_floats=-(-length // LANES) * LANES,
    )


def group_normalization(
    x: Layout, num_groups: int, epsilon: float, scale: np.ndarray, offset: np.ndarray
) -> BoundKernel:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, the statistics of groups of channels.

    x is planar, its first axis the channels, or nchw16c; scale and offset are one a channel. The
    variance is computed as that of `normalization`.
    """
    channels = x.shape[0] if x.shape else 0
    if x.kind not in ("planar", "nchw16c") or not channels or channels % num_groups:
        raise InvalidModelError(f"{num_groups} groups of channels do not fit {x}")
    if {scale.size, offset.size} != {channels}:
        raise InvalidModelError(f"{scale.size} and {offset.size} constants for {channels} channels")
    group, pixels = channels // num_groups, math.prod(x.shape[1:])
    parameters: NormalizedGroups | NormalizedBlocks
    if x.kind == "planar":
        constants = packed(scale.reshape(-1)), packed(offset.reshape(-1))
        parameters = NormalizedGroups(num_groups, group, pixels, epsilon, *constants)
        scratch_floats = LANES
    else:
        unit_blocks = x.blocks
        if group % LANES == 0 or LANES % group == 0:
            unit_blocks = -(-group // LANES)
        parameters = NormalizedBlocks(
            units=x.blocks // unit_blocks,
            unit_blocks=unit_blocks,
            channels=channels,
            group=group,
            pixels=pixels,
            epsilon=epsilon,
            scale=_whole_blocks(scale, channels),
            offset=_whole_blocks(offset, channels),
            ragged_mask=lane_mask(x) if channels % LANES else None,
        )
        scratch_floats = 2 * unit_blocks * LANES
    return BoundKernel(
        name="group_normalization",
        function=Kernel("normalization", "groups" if x.kind == "planar" else "groups_of_blocks"),
        parameters=parameters,
        input_layouts=(x,),
        output_layout=x,
        scratch_floats=scratch_floats,
    )


def _whole_blocks(values: np.ndarray, length: int) -> np.ndarray:
    """One value for each of `length` elements, with zeros up to a whole block."""
    if values.size != length:
        raise InvalidModelError(f"{values.size} constants for rows of {length} elements")
    padded = np.zeros(-(-length // LANES) * LANES, np.float32)
    padded[:length] = values.reshape(-1)
    return packed(padded)
