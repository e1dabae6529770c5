"""Resizing of images: of each pixel a weighted sum of pixels, first down, then across."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, lane_mask, packed
from columnar_nn.kernels.parameters import Blocks, Floats, Words

OUTSIDE = -1
"""Source of a row or column that is filled."""

Axis = tuple[np.ndarray, np.ndarray]
"""Sources and weights [size of the result, taps]."""


class Resizing(NamedTuple):
    """Of a resizing by `row_taps` rows and `column_taps` columns a pixel, nchw16c.

    `rows` and `columns` are the sources of each row and column of the result, the first one
    OUTSIDE where the result is `fill`. `ragged_mask` is the last block's lanes past the last
    channel, if there are any and they would be filled.
    """

    blocks: int
    height: int
    width: int
    out_height: int
    out_width: int
    row_taps: int
    column_taps: int
    rows: Words
    columns: Words
    row_weights: Floats
    column_weights: Floats
    fill: float
    ragged_mask: Blocks | None


class PlanarCopies(NamedTuple):
    """Of planar images whose rows and columns are copied; `fill` where their source is OUTSIDE."""

    channels: int
    height: int
    width: int
    out_height: int
    out_width: int
    rows: Words
    columns: Words
    fill: float


def copies(rows: Axis, columns: Axis) -> bool:
    """Whether every pixel is one of the image's, which a planar kernel can do."""
    return {rows[0].shape[1], columns[0].shape[1]} == {1}


def resize(x: Layout, rows: Axis, columns: Axis, fill: float = 0.0) -> BoundKernel:
    """An image whose pixels are weighted sums of those of x, in its layout; if planar, copies only.

    `rows` and `columns` are sources and weights [size of the result, taps]: a source of OUTSIDE in
    the first tap makes the result `fill` there. With one tap in each, pixels are copied.
    """
    if x.kind != "nchw16c" and not (
        x.kind == "planar" and len(x.shape) == 3 and copies(rows, columns)
    ):
        raise InvalidModelError(f"resizing needs nchw16c, not {x}: insert a reorder step")
    channels, height, width = x.shape
    for (sources, weights), size in ((rows, height), (columns, width)):
        inside = not sources.size or OUTSIDE <= sources.min() <= sources.max() < size
        if sources.ndim != 2 or sources.shape != weights.shape or not inside:
            raise InvalidModelError(f"sources and weights do not fit the {size} pixels of an axis")
    if x.kind == "planar":
        return _planar_copies(x, rows[0], columns[0], fill)
    taps = rows[0].shape[1], columns[0].shape[1]
    output = Layout("nchw16c", (channels, len(rows[0]), len(columns[0])))
    copied = taps == (1, 1)
    return BoundKernel(
        name="resize",
        function=Kernel("resize", "copies" if copied else "sums"),
        parameters=Resizing(
            blocks=x.blocks,
            height=height,
            width=width,
            out_height=output.shape[1],
            out_width=output.shape[2],
            row_taps=taps[0],
            column_taps=taps[1],
            rows=np.ascontiguousarray(rows[0], np.int64),
            columns=np.ascontiguousarray(columns[0], np.int64),
            row_weights=packed(rows[1]),
            column_weights=packed(columns[1]),
            fill=fill,
            ragged_mask=lane_mask(x) if fill and channels % LANES else None,
        ),
        input_layouts=(x,),
        output_layout=output,
        scratch_floats=0 if copied else width * LANES,
        multiply_adds=0 if copied else output.num_items * sum(taps),
    )


def _planar_copies(x: Layout, rows: np.ndarray, columns: np.ndarray, fill: float) -> BoundKernel:
    channels, height, width = x.shape
    doubled = np.array_equal(columns[:, 0], np.arange(2 * width) // 2)
    return BoundKernel(
        name="resize",
        function=Kernel("resize", "copies_of_planes", (int(doubled),)),
        parameters=PlanarCopies(
            channels=channels,
            height=height,
            width=width,
            out_height=len(rows),
            out_width=len(columns),
            rows=np.ascontiguousarray(rows, np.int64),
            columns=np.ascontiguousarray(columns, np.int64),
            fill=fill,
        ),
        input_layouts=(x,),
        output_layout=Layout("planar", (channels, len(rows), len(columns))),
    )
