"""One cell while it is being measured: its runs so far, and how it ended if it has."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from bench.compare.experiment import Limits
from bench.results.result import MIN_RUNS
from bench.results.schema import OFFLINE, SERVER
from bench.verdict.rule import Verdict, combined
from bench.verdict.status import FAILED, MISTRUSTED, NOT_RUN
from bench.workers.turn import Turn

ENDED_BEFORE = "the comparison ended before it"
"""Why a cell was not run that was still to be: its reason also while others have their turns."""


@dataclass
class Cell:
    """A cell on its way: its turns so far, and its end if it has come to one besides success.

    It is of a `scenario` (bench/results/schema.py), and of a server also of a `rate`: its runs are
    queries then, their times latencies.

    `calibrated` is how long a run took when warm, `predicted` how long one would take that is
    not run for that reason; both in seconds. `own` is the verdict on its own rows, `checked` that
    on the images that every configuration runs besides.
    """

    samples: int
    batch_size: int
    turns: list[Turn] = field(default_factory=list)
    status: str = ""
    reason: str = ""
    calibrated: float | None = None
    predicted: float | None = None
    own: Verdict | None = None
    checked: Verdict | None = None
    accuracy: float | None = None
    top5_accuracy: float | None = None
    scenario: str = OFFLINE
    rate: float | None = None

    @property
    def times(self) -> list[float]:
        """Seconds of every timed run, in order."""
        return [seconds for turn in self.turns for seconds in turn.times]

    def at(self, rate: float) -> Cell:
        """The cell of as many images whose queries arrive at a rate; it is as warm as this one."""
        known = fmean(self.times) if self.times else self.calibrated
        return replace(self, scenario=SERVER, rate=rate, turns=[], calibrated=known)

    def end(self, status: str, reason: str) -> None:
        """Ends the cell unless it has ended before."""
        if not self.status:
            self.status, self.reason = status, reason

    def finished(self, limits: Limits) -> bool:
        """Whether no more runs are needed, or none can be afforded.

        Beyond the budget there are MIN_RUNS runs, if it was not too long to be run at all. A server
        has its queries in one turn: a queue cannot be interrupted.
        """
        if self.scenario == SERVER:
            return bool(self.status or self.turns)
        total = sum(self.times)
        enough = len(self.times) >= limits.runs and total >= limits.min_time
        spent = len(self.times) >= min(MIN_RUNS, limits.runs) and total >= limits.budget
        return bool(self.status) or enough or spent

    def outcome(self) -> dict[str, Any]:
        """How it ended as far as is known, as a row of the table cell has it."""
        status, reason = self.ending()
        return {
            "status": status,
            "reason": reason or None,
            "predicted_s": self.predicted,
            "accuracy": self.accuracy,
            "top5_accuracy": self.top5_accuracy,
            **({} if self.own is None else figures(self.own)),
        }

    def ending(self) -> tuple[str, str]:
        """Its status and the reason, by now."""
        if self.status:
            return self.status, self.reason
        if not self.times:
            return NOT_RUN, ENDED_BEFORE
        verdicts = [verdict for verdict in (self.own, self.checked) if verdict is not None]
        if not verdicts:
            return MISTRUSTED, "there is no reference output to compare with"
        verdict = combined(verdicts)
        if verdict.status == FAILED and verdict is not self.own:
            images = f"{verdict.parity.rows} image(s)"
            return FAILED, f"on the first {images}, run for a check: {verdict.reason}"
        return verdict.status, verdict.reason


def figures(verdict: Verdict) -> dict[str, Any]:
    """The figures of a verdict as the table cell has them."""
    parity = verdict.parity
    return {
        "max_abs": parity.max_abs,
        "max_rel": parity.max_rel,
        "max_ulp": parity.max_ulp,
        "sqnr_db": parity.sqnr_db,
        "cosine": parity.cosine,
        "top1_agreement": parity.top1_agreement,
        "outside": parity.outside,
        "min_tolerance": parity.min_tolerance,
        "noise_ratio": max(verdict.column_ratio, verdict.row_ratio),
        "parity_rows": parity.rows,
        "telling_rows": parity.rows - verdict.silent_rows,
    }
