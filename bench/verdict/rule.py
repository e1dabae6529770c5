"""Whether a backend's output is right, by what float32 itself does.

No tolerance fits every network, so it is measured: a plain float32 evaluation is off from the
float64 reference by some *noise*, and a backend may be off by at most K times as much in every
column (class; of an image-shaped output: channel) and in every row (image). One that computes in
bfloat16 is measured by a plain bfloat16 evaluation. docs/verdict.md has the rule in full, and the
measurements behind its constants.

A Judge takes a backend's output and the reference in batches, and the Noise of the tensor, and
gives the Verdict. It does not keep the tensor: memory is that of a batch and some numbers a row
and column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.verdict.lines import alike, by_column, root_mean, sum_squares
from bench.verdict.noise import Noise
from bench.verdict.parity import TINY, Accumulator, Parity, Tolerance
from bench.verdict.precision import FLOAT32, Precision
from bench.verdict.status import FAILED, MISTRUSTED, PASSED

RULE = FLOAT32.rule


@dataclass(frozen=True)
class Verdict:
    """How one tensor was judged; `reason` says why it is not PASSED.

    `column_ratio` and `row_ratio` are the largest error over noise of any column and row (NaN
    without a noise), at `worst_column` and `worst_row`. `silent_columns` vary by less than their
    tolerance, `silent_rows` are as if the image were dimmed: they would agree whatever the backend
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


class Judge:
    """Judges a backend's rows of one tensor against the reference's, batch by batch."""

    def __init__(
        self,
        tolerance: Tolerance,
        noise: Noise | None,
        explicit: bool = False,
        precision: Precision = FLOAT32,
    ) -> None:
        """`tolerance` is of the whole tensor, `noise` of exactly the rows that will be added.

        Both are those of the `precision` in which the backend computes.

        With `explicit`, the tolerance is the user's word: nothing else is asked of the output.
        Without a noise only the tolerance can be, and nothing is known of what varies.
        """
        self._tolerance = tolerance
        self._noise = noise
        self._explicit = explicit
        self._precision = precision
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
        got, truth = by_column(output), by_column(reference)
        if self._noise is not None and not self._explicit:
            # Where float32 itself is not finite, nothing is asked of the output.
            beyond = np.isinf(self._noise.columns)[:, None] & ~alike(got, truth)
            if beyond.any():
                got = np.where(beyond, truth, got)
                output = got.reshape(output.shape).astype(output.dtype)
        self._figures.add(output, reference, self._always(reference.ndim))
        same = alike(got, truth)
        self._unlike += int(same.size - np.count_nonzero(same))
        self._elements += same.size
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
        allowed: np.ndarray = np.where(np.isinf(columns), 0.0, self._precision.times * columns)
        return allowed.reshape(-1, *(1 for _ in range(rank - 2)))

    def _add_lines(self, error: np.ndarray, truth: np.ndarray, noise: Noise) -> None:
        squares = sum_squares(error)
        active = np.count_nonzero(truth, axis=2)
        self._square = self._square + squares.sum(axis=0)
        self._active = self._active + active.sum(axis=0)
        allowed = noise.rows[self._rows : self._rows + len(error)]
        ratios = root_mean((squares / noise.columns**2).sum(axis=1), active.sum(axis=1)) / allowed
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
            allowed = np.broadcast_to(self._precision.times * self._noise.columns, truth.shape)
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
        too_far = known and self._row_ratio > self._precision.times
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
        ratios: np.ndarray = root_mean(self._square, self._active) / self._noise.columns
        return ratios

    def _silent_columns(self) -> np.ndarray:
        noise = self._noise
        if noise is None:
            return np.zeros(1, bool)
        allowed = self._precision.times * noise.columns
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
            if ratios[worst] > self._precision.times:
                yield f"column {worst} is off by {self._times(ratios[worst])}"
            if self._row_ratio > self._precision.times:
                yield f"row {self._worst_row} is off by {self._times(self._row_ratio)}"
        if self._wrong:
            yield f"top-1 of {self._wrong} row(s) differs, and not as a near-tie"

    def _times(self, ratio: float) -> str:
        precision = self._precision
        return f"{ratio:,.0f} times {precision.name}'s own error, {precision.times:g} are allowed"


def combined(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that stands for all, of a backend's several outputs or runs.

    One that FAILED, if any did; else one that PASSED: that another says nothing is no harm. Of
    several the one with the largest errors.
    """
    order = (FAILED, PASSED, MISTRUSTED)
    return min(verdicts, key=lambda verdict: (order.index(verdict.status), -_size(verdict)))


def _size(verdict: Verdict) -> float:
    return float(np.nan_to_num(verdict.parity.max_rel))
