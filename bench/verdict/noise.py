"""What float32 itself does to a tensor: by how much a plain evaluation is off from the reference.

A NoiseAccumulator takes the reference and the float32 evaluation in batches and gives the Noise
of one tensor; or, for engines that compute in it, the bfloat16 evaluation. It does not keep the
tensor: memory is that of a batch and some numbers a row and column. docs/verdict.md has the
measurements behind the constants.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.verdict.lines import alike, by_column, root_mean, sum_squares
from bench.verdict.parity import TINY
from bench.verdict.precision import FLOAT32, Precision

K = FLOAT32.times
"""How many times the noise an error may be in float32."""

DIMMED = 0.875
"""An image that gives the same output with this share of its brightness says nothing: ReLU cut off
all of it, or softmax is saturated. A blank image would not tell: its output may differ."""

_ULP = float(np.finfo(np.float32).eps)
"""The last place of a float32, relative to it: what any backend may be off by."""

_SHARE = 0.25
"""A line whose noise is small by luck is given this share of the median line's."""

_SPOOL_BYTES = 4 << 20
"""What a NoiseAccumulator keeps of all rows and columns lies in a file when it is larger."""

_FEW = 8
"""The noise of fewer elements says little even beside the line's own magnitude."""


@dataclass(frozen=True)
class Noise:
    """What float32 does to one tensor [N, C, ...], by column and row; floors are in it.

    columns  [C]  the noise of each column; infinite where float32 itself gives NaN or infinity
                  and the reference does not
    rows     [N]  the noise of each row, every element in units of its column's
    spread   [C]  how far the reference's elements are from their mean over the images, as a root
                  mean square; of a single image: from the dimmed one's
    rms      [C]  the root mean square of the reference
    telling  [N]  whether the row differs from the dimmed image's by more than is allowed of a row
    """

    columns: np.ndarray
    rows: np.ndarray
    spread: np.ndarray
    rms: np.ndarray
    telling: np.ndarray

    def of_rows(self, rows: np.ndarray) -> Noise:
        """The noise of some of the rows; the columns' stays that of all of them."""
        return Noise(self.columns, self.rows[rows], self.spread, self.rms, self.telling[rows])


class NoiseAccumulator:
    """Measures the noise of one tensor from batches of rows, in order, of a `precision`."""

    def __init__(self, precision: Precision = FLOAT32) -> None:
        self._times = precision.times
        # Of each batch the sums over each row's columns, stacked: [5, n, C]. Rows are measured in
        # units of the columns' noise, which is known at the end.
        self._lines = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115
        weakref.finalize(self, self._lines.close)
        self._batches = 0
        self._sums: np.ndarray = np.zeros((5, 1))
        self._first: np.ndarray | None = None
        self._moments = (np.zeros(1), np.zeros(1), np.zeros(1))
        self._beyond: np.ndarray = np.zeros(1, bool)

    def add(self, reference: np.ndarray, single: np.ndarray, dimmed: np.ndarray) -> None:
        """Takes the same rows [n, ...] of the reference and of the float32 evaluation.

        `dimmed` is the tensor, by either, of the same images with DIMMED of their brightness.
        """
        if not reference.size:
            return
        truth, plain = by_column(reference), by_column(single)
        finite = np.isfinite(truth)
        self._beyond = self._beyond | (~alike(truth, plain)).any(axis=(0, 2))
        kept = np.where(finite, truth, 0.0)
        noise = np.where(finite & np.isfinite(plain), plain, kept) - kept
        change = kept - _finite(by_column(dimmed))
        active = np.count_nonzero(kept, axis=2).astype(np.float64)
        moving = np.count_nonzero((kept != 0) & (change != 0), axis=2).astype(np.float64)
        sums = [sum_squares(each) for each in (noise, kept, change)]
        lines = np.stack([*sums, active, moving])
        self._sums = self._sums + lines.sum(axis=1)
        np.lib.format.write_array(self._lines, lines, allow_pickle=False)
        self._batches += 1
        if self._first is None:
            self._first = kept[:1]
        deviation = np.where(finite, truth - self._first, 0.0)
        count, total, squares = self._moments
        self._moments = (
            count + finite.sum(axis=0),
            total + deviation.sum(axis=0),
            squares + np.square(deviation).sum(axis=0),
        )

    def result(self) -> Noise:
        """The noise of all rows so far. Raises ValueError before any."""
        if self._first is None:
            raise ValueError("no rows were measured")
        noise, square, change, counts, moving = self._sums
        rms = root_mean(square, counts)
        columns = _floored(root_mean(noise, counts), rms, moving)
        columns = np.where(self._beyond, np.inf, np.maximum(columns, TINY))
        in_columns = np.concatenate([_in_columns(lines, columns) for lines in self._kept()], axis=1)
        *by_row, in_row, moving_in_row = in_columns
        noise_of_rows, square_of_rows, changed = (root_mean(sums, in_row) for sums in by_row)
        rows = _floored(noise_of_rows, square_of_rows, moving_in_row)
        # Most rows may be clipped but for one element: that has the noise of its column, which is
        # one unit, or more of a column in which few others are not.
        units = np.where(moving > 0, counts / np.maximum(moving, 1), 0.0)
        moved = np.concatenate([batch[4] @ units for batch in self._kept()])
        moved = np.sqrt(moved / np.maximum(in_row, 1))
        rows = np.maximum(rows, np.where(moving_in_row < _FEW, moved, 0.0))
        unseen = float(np.sqrt(np.mean(np.square(TINY / columns))))
        rows = np.maximum(rows, unseen or 1.0)
        return Noise(
            columns=columns,
            rows=rows,
            spread=self._spread() if len(rows) > 1 else root_mean(change, counts),
            rms=rms,
            telling=changed > self._times * rows,
        )

    def _kept(self) -> Iterator[np.ndarray]:
        self._lines.seek(0)
        for _ in range(self._batches):
            yield np.lib.format.read_array(self._lines, allow_pickle=False)

    def _spread(self) -> np.ndarray:
        count, total, squares = self._moments
        known = np.maximum(count, 1)
        variance = squares / known - np.square(total / known)
        spread: np.ndarray = np.sqrt(np.maximum(variance, 0.0).mean(axis=1))
        return spread


def _in_columns(lines: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sums [5, n, C] as sums [5, n]: squares in units of the columns, and counts as they are."""
    squares = (lines[:3] / columns**2).sum(axis=2)
    sums: np.ndarray = np.concatenate([squares, lines[3:].sum(axis=2)])
    return sums


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, 0.0)


def _floored(noise: np.ndarray, rms: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """The noise of lines (columns or rows), none smaller than can be told from luck.

    A line's noise is at least one unit in the last place of its magnitude, and a share of the
    median line's, each relative to its magnitude: lines may be of very different scales. Of a few
    elements, or of few that are `moving` when the image is dimmed (ReLU or a clip cuts off the
    others, or a sigmoid is saturated, and they are exact), noise and magnitude may be small by
    luck: there also of the median line's as it is. The median is that of lines that have noise.
    """
    alive = rms > 0
    if not alive.any():
        return noise
    if (alive & (noise > 0)).any():
        alive &= noise > 0
    relative = float(np.median(noise[alive] / rms[alive]))
    floor = _SHARE * max(_ULP, relative) * rms
    usual = _SHARE * float(np.median(noise[alive]))
    floored: np.ndarray = np.maximum(
        noise, np.where(moving < _FEW, np.maximum(floor, usual), floor)
    )
    return floored
