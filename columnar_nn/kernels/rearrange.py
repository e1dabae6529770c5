"""Operators that only move the elements of a tensor: slice, transpose, pad, expand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout
from columnar_nn.kernels.parameters import Words

OUTSIDE = -1
"""Index of an element that is not in the input."""

_FAR = -(2**48)
"""Offset of such an element: negative, whatever the offsets along other axes add to it."""


_SHORTEST_RUN = 4
"""Of shorter ones every element is looked up."""


class Rearranged(NamedTuple):
    """Of output[row, column] = input[rows[row] + columns[column]], `fill` if that is negative.

    In a column are `length` floats, which follow each other in the input, too.
    """

    num_rows: int
    num_columns: int
    rows: Words
    columns: Words
    length: int
    fill: float


class Interleaved(NamedTuple):
    """Of rows in which two runs of `length` floats alternate.

    The first one begins at rows[row], the other one `distance` floats later.
    """

    num_rows: int
    length: int
    rows: Words
    distance: int


class Transposed(NamedTuple):
    """Of matrices, rows x columns, that are transposed."""

    matrices: int
    rows: int
    columns: int


def rearrange(
    x: Layout,
    indices: Sequence[np.ndarray],
    permutation: Sequence[int] | None = None,
    fill: float = 0.0,
) -> BoundKernel:
    """output[i, j, ...] = x[indices[0][i], indices[1][j], ...], planar, its axes permuted.

    Axis k of the output holds the elements `indices[k]` of axis `permutation[k]` of x (of axis
    k, if None), repeated or left out as they come; `fill` where an index is OUTSIDE.
    """
    axes = tuple(range(len(x.shape)) if permutation is None else permutation)
    if x.kind != "planar" or sorted(axes) != list(range(len(x.shape))) or len(indices) != len(axes):
        raise InvalidModelError(f"cannot rearrange {x} by {len(indices)} axes in order {axes}")
    strides = [math.prod(x.shape[axis + 1 :]) for axis in axes]
    offsets = []
    for index, stride, axis in zip(indices, strides, axes, strict=True):
        numbers = np.asarray(index, np.int64)
        if numbers.size and (numbers.min() < OUTSIDE or numbers.max() >= x.shape[axis]):
            raise InvalidModelError(f"indices {numbers} reach outside axis {axis} of {x}")
        offsets.append(np.where(numbers == OUTSIDE, _FAR, numbers * stride))
    whole = all(
        np.array_equal(index, np.arange(x.shape[axis]))
        for index, axis in zip(indices, axes, strict=True)
    )
    function, parameters = (
        (_transposed(x.shape, axes) if whole else None)
        or _interleaved(offsets)
        or _rearranged(offsets, fill)
    )
    return BoundKernel(
        name="rearrange",
        function=function,
        parameters=parameters,
        input_layouts=(x,),
        output_layout=Layout("planar", tuple(len(index) for index in indices)),
    )


def _transposed(shape: Sequence[int], axes: Sequence[int]) -> tuple[Kernel, Transposed] | None:
    """The kernel of two groups of axes that change places at the end, if both are large enough."""
    moved = next((place for place, axis in enumerate(axes) if place != axis), len(axes))
    split = axes[moved] if moved < len(axes) else len(axes)
    if [*axes[moved:]] != [*range(split, len(axes)), *range(moved, split)]:
        return None
    sizes = (shape[:moved], shape[moved:split], shape[split:])
    matrices, rows, columns = (math.prod(size) for size in sizes)
    if min(rows, columns) < LANES:
        return None
    return Kernel("rearrange", "transposed"), Transposed(matrices, rows, columns)


def _interleaved(offsets: Sequence[np.ndarray]) -> tuple[Kernel, Interleaved] | None:
    """The kernel of pixels that are shuffled in steps of two, if they are, and none is outside."""
    if len(offsets) < 2 or min(offset.min(initial=0) for offset in offsets) < 0:
        return None
    *outer, run, pair = offsets
    if len(pair) != 2 or not _is_run(run):
        return None
    rows, first, second = _sums(outer) + run[0], *map(int, pair)
    parameters = Interleaved(rows.size, run.size, rows + first, second - first)
    return Kernel("rearrange", "interleaved"), parameters


def _rearranged(offsets: Sequence[np.ndarray], fill: float) -> tuple[Kernel, Rearranged]:
    rows, columns = min(
        ((_sums(offsets[:split]), _sums(offsets[split:])) for split in range(len(offsets) + 1)),
        key=lambda tables: tables[0].size + tables[1].size,
    )
    length = _run_length(columns)
    same = bool(columns.size) and columns[0] >= 0 and bool((columns == columns[0]).all())
    order = "same" if same else "any" if length == 1 else "runs"
    if order == "runs":
        columns = columns[::length].copy()
    parameters = Rearranged(rows.size, columns.size, rows, columns, length, fill)
    return Kernel("rearrange", "rearrange", (order,)), parameters


def _run_length(offsets: np.ndarray) -> int:
    """Length of the runs of elements that they can be cut into; 1 where that would be too short."""
    breaks = np.flatnonzero(np.diff(offsets) != 1) + 1
    length = math.gcd(offsets.size, *map(int, breaks))
    return length if length >= _SHORTEST_RUN else 1


def _is_run(offsets: np.ndarray) -> bool:
    """Whether they follow each other in memory."""
    return bool(offsets.size) and np.array_equal(offsets, offsets[0] + np.arange(offsets.size))


def _sums(offsets: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of one offset of each axis, for every choice, in row-major order."""
    total = np.zeros(1, np.int64)
    for offset in offsets:
        total = (total[:, None] + offset).reshape(-1)
    return total
