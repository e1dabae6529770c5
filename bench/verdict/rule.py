"""Whether an engine's output is right, by what float32 itself does.

No tolerance fits every network, so it is measured: a plain float32 evaluation is off from the
float64 reference by some *noise*, and an engine may be off by at most K times as much in every
column (class; of an image-shaped output: channel) and in every row (image). docs/verdict.md has
the rule in full, and the measurements behind its constants.

A NoiseAccumulator takes the reference and the float32 evaluation in batches and gives the Noise
of one tensor; a Judge takes an engine's output and the reference in batches, and gives the
Verdict. Neither keeps the tensor: memory is that of a batch and some numbers
a row and column.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.verdict.parity import TINY, Accumulator, Parity, Tolerance
from bench.verdict.status import FAILED, MISTRUSTED, PASSED

K = 32.0
"""How many times the noise an error may be. Right engines were measured up to 9.3, rounding to
float16 from 205 on."""

RULE = (
    f"in every column and row the error is at most {K:g} times that of a plain float32 evaluation"
)

DIMMED = 0.875
"""An image that gives the same output with this share of its brightness says nothing: ReLU cut off
all of it, or softmax is saturated. A blank image would not tell: its output may differ."""

_ULP = float(np.finfo(np.float32).eps)
"""The last place of a float32, relative to it: what any engine may be off by."""

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


@dataclass(frozen=True)
class Verdict:
    """How one tensor was judged; `reason` says why it is not PASSED.

    `column_ratio` and `row_ratio` are the largest error over noise of any column and row (NaN
    without a noise), at `worst_column` and `worst_row`. `silent_columns` vary by less than their
    tolerance, `silent_rows` are as if the image were dimmed: they would agree whatever the engine
    did. `ties` rows have another top-1 than the reference, all of them near-ties unless FAILED.
    `unlike` elements are NaN or infinite in another way than the reference. `silence` says why
    the model says nothing here, whatever the status; it is empty if it says something.
    """

    status: str
    reason: str
    parity: Parity
    columns: int
    silent_columns: int
    silent_rows: int
    column_ratio: float
    row_ratio: float
    worst_column: int
    worst_row: int
    ties: int
    unlike: int
    silence: str


class NoiseAccumulator:
    """Measures the noise of one tensor from batches of rows, in order."""

    def __init__(self) -> None:
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
        truth, plain = _by_column(reference), _by_column(single)
        finite = np.isfinite(truth)
        self._beyond = self._beyond | (~_alike(truth, plain)).any(axis=(0, 2))
        kept = np.where(finite, truth, 0.0)
        noise = np.where(finite & np.isfinite(plain), plain, kept) - kept
        change = kept - _finite(_by_column(dimmed))
        active = np.count_nonzero(kept, axis=2).astype(np.float64)
        moving = np.count_nonzero((kept != 0) & (change != 0), axis=2).astype(np.float64)
        sums = [_sum_squares(each) for each in (noise, kept, change)]
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
        rms = _root_mean(square, counts)
        columns = _floored(_root_mean(noise, counts), rms, moving)
        columns = np.where(self._beyond, np.inf, np.maximum(columns, TINY))
        in_columns = np.concatenate([_in_columns(lines, columns) for lines in self._kept()], axis=1)
        *by_row, in_row, moving_in_row = in_columns
        noise_of_rows, square_of_rows, changed = (_root_mean(sums, in_row) for sums in by_row)
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
            spread=self._spread() if len(rows) > 1 else _root_mean(change, counts),
            rms=rms,
            telling=changed > K * rows,
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


class Judge:
    """Judges an engine's rows of one tensor against the reference's, batch by batch."""

    def __init__(self, tolerance: Tolerance, noise: Noise | None, explicit: bool = False) -> None:
        """`tolerance` is of the whole tensor, `noise` of exactly the rows that will be added.

        With `explicit`, the tolerance is the user's word: nothing else is asked of the output.
        Without a noise only the tolerance can be, and nothing is known of what varies.
        """
        self._tolerance = tolerance
        self._noise = noise
        self._explicit = explicit
        self._figures = Accumulator(tolerance)
        self._rows = self._unlike = self._elements = self._ties = self._wrong = 0
        self._square: np.ndarray = np.zeros(1)
        self._active: np.ndarray = np.zeros(1, np.int64)
        self._row_ratio, self._worst_row = 0.0, 0
        self._comparable = True

    def add(self, output: np.ndarray, reference: np.ndarray) -> None:
        """Takes rows [n, ...] of both; another shape or dtype than the reference's is a failure."""
        self._comparable &= output.shape == reference.shape and output.dtype == reference.dtype
        if not self._comparable or not output.size:
            self._figures.add(output, reference)
            return
        got, truth = _by_column(output), _by_column(reference)
        if self._noise is not None and not self._explicit:
            # Where float32 itself is not finite, nothing is asked of the output.
            beyond = np.isinf(self._noise.columns)[:, None] & ~_alike(got, truth)
            if beyond.any():
                got = np.where(beyond, truth, got)
                output = got.reshape(output.shape).astype(output.dtype)
        self._figures.add(output, reference, self._always(reference.ndim))
        alike = _alike(got, truth)
        self._unlike += int(alike.size - np.count_nonzero(alike))
        self._elements += alike.size
        finite = np.isfinite(got) & np.isfinite(truth)
        error = np.where(finite, got, 0.0) - np.where(finite, truth, 0.0)
        error[np.abs(error) <= TINY] = 0.0
        if self._noise is not None:
            self._add_lines(error, np.where(finite, truth, 0.0), self._noise)
        if reference.ndim == 2 and reference.shape[1] > 1:
            self._add_top1(got[:, :, 0], truth[:, :, 0])
        self._rows += len(truth)

    def _always(self, rank: int) -> np.ndarray | float:
        """What an element may be off by even if the whole tensor's tolerance is less.

        Float32 itself may exceed that: where sums cancel, or denormals are flushed.
        """
        if self._noise is None or self._explicit:
            return 0.0
        columns = self._noise.columns
        allowed: np.ndarray = np.where(np.isinf(columns), 0.0, K * columns)
        return allowed.reshape(-1, *(1 for _ in range(rank - 2)))

    def _add_lines(self, error: np.ndarray, truth: np.ndarray, noise: Noise) -> None:
        squares = _sum_squares(error)
        active = np.count_nonzero(truth, axis=2)
        self._square = self._square + squares.sum(axis=0)
        self._active = self._active + active.sum(axis=0)
        allowed = noise.rows[self._rows : self._rows + len(error)]
        ratios = _root_mean((squares / noise.columns**2).sum(axis=1), active.sum(axis=1)) / allowed
        worst = int(ratios.argmax())
        if ratios[worst] > self._row_ratio:
            self._row_ratio, self._worst_row = float(ratios[worst]), self._rows + worst

    def _add_top1(self, output: np.ndarray, truth: np.ndarray) -> None:
        finite = (np.isfinite(output) & np.isfinite(truth)).all(axis=1)
        output, truth = output[finite], truth[finite]
        every = np.arange(len(truth))
        best, chosen = truth.argmax(axis=1), output.argmax(axis=1)
        margin = truth[every, best] - truth[every, chosen]
        if self._noise is None or self._explicit:
            allowed = self._tolerance.atol + self._tolerance.rtol * np.abs(truth)
        else:
            allowed = np.broadcast_to(K * self._noise.columns, truth.shape)
        tie = allowed[every, best] + allowed[every, chosen]
        self._ties += int(np.count_nonzero(best != chosen))
        self._wrong += int(np.count_nonzero(margin > tie))

    @property
    def unlike(self) -> int:
        """How many elements so far are NaN or infinite in another way than the reference's."""
        return self._unlike

    @property
    def outside(self) -> int:
        """How many elements so far are outside the tolerance of the whole tensor."""
        return self._figures.result().outside if self._elements else 0

    @property
    def failing(self) -> bool:
        """Whether the output is known to be wrong by now; columns are known at the end only."""
        known = self._noise is not None and not self._explicit
        too_far = known and self._row_ratio > K
        return bool(not self._comparable or self.outside or too_far or self._wrong)

    def verdict(self) -> Verdict:
        """The verdict on all rows so far. Raises ValueError before any."""
        parity = self._figures.result()
        ratios = self._column_ratios()
        noise = self._noise
        silence = "" if noise is None else self._silence(noise)
        reason = next(self._failures(parity, ratios), "")
        status = FAILED if reason else MISTRUSTED if silence else PASSED
        return Verdict(
            status=status,
            reason=reason or silence,
            parity=parity,
            columns=len(ratios),
            silent_columns=int(np.count_nonzero(self._silent_columns())),
            silent_rows=0 if noise is None else int(np.count_nonzero(~noise.telling)),
            column_ratio=float(ratios.max()) if noise is not None else np.nan,
            row_ratio=self._row_ratio if noise is not None else np.nan,
            worst_column=int(ratios.argmax()),
            worst_row=self._worst_row,
            ties=self._ties,
            unlike=self._unlike,
            silence=silence,
        )

    def _column_ratios(self) -> np.ndarray:
        if self._noise is None:
            return np.zeros(1)
        ratios: np.ndarray = _root_mean(self._square, self._active) / self._noise.columns
        return ratios

    def _silent_columns(self) -> np.ndarray:
        noise = self._noise
        if noise is None:
            return np.zeros(1, bool)
        allowed = K * noise.columns
        if self._explicit:
            allowed = self._tolerance.atol + self._tolerance.rtol * noise.rms
        silent: np.ndarray = noise.spread <= allowed
        return silent

    def _silence(self, noise: Noise) -> str:
        if self._silent_columns().all():
            if self._explicit:
                return "no output varies with the images by more than the given tolerance"
            return "the model says nothing here: no output varies with the images"
        if not noise.telling.any():
            return "the model says nothing here: dimmed, the images give the same"
        return ""

    def _failures(self, parity: Parity, ratios: np.ndarray) -> Iterator[str]:
        """What is wrong, the plainest first."""
        if not self._comparable:
            yield parity.mismatch
        if self._unlike:
            yield f"{self._unlike} element(s) are NaN or infinite in another way than the reference"
        if parity.outside:
            yield f"{parity.outside} of {self._elements} elements outside the tolerance"
        if self._noise is not None and not self._explicit:
            worst = int(ratios.argmax())
            if ratios[worst] > K:
                yield f"column {worst} is off by {_times(ratios[worst])}"
            if self._row_ratio > K:
                yield f"row {self._worst_row} is off by {_times(self._row_ratio)}"
        if self._wrong:
            yield f"top-1 of {self._wrong} row(s) differs, and not as a near-tie"


def combined(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that stands for all, of an engine's several outputs or runs.

    One that FAILED, if any did; else one that PASSED: that another says nothing is no harm. Of
    several the one with the largest errors.
    """
    order = (FAILED, PASSED, MISTRUSTED)
    return min(verdicts, key=lambda verdict: (order.index(verdict.status), -_size(verdict)))


def _size(verdict: Verdict) -> float:
    return float(np.nan_to_num(verdict.parity.max_rel))


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times float32's own error, {K:g} are allowed"


def _in_columns(lines: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sums [5, n, C] as sums [5, n]: squares in units of the columns, and counts as they are."""
    squares = (lines[:3] / columns**2).sum(axis=2)
    sums: np.ndarray = np.concatenate([squares, lines[3:].sum(axis=2)])
    return sums


def _by_column(rows: np.ndarray) -> np.ndarray:
    """Any tensor [N, C, ...] as float64 [N, C, places]; of one without C there is one column."""
    columns = rows.shape[1] if rows.ndim > 1 else 1
    places = int(np.prod(rows.shape[2:]))
    wide: np.ndarray = rows.reshape(len(rows), columns, places).astype(np.float64)
    return wide


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, 0.0)


def _alike(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where both are finite, both NaN, or both the same infinity."""
    both = np.isfinite(left) & np.isfinite(right)
    alike: np.ndarray = both | (np.isnan(left) & np.isnan(right)) | (left == right)
    return alike


def _sum_squares(values: np.ndarray) -> np.ndarray:
    """Sums [N, C] over the places of [N, C, places]."""
    sums: np.ndarray = np.einsum("ncp,ncp->nc", values, values)
    return sums


def _root_mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Root mean squares over elements that are not zero: what ReLU cut off has no noise."""
    means: np.ndarray = np.sqrt(sums / np.maximum(counts, 1))
    return means


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
