"""One cell while it is being measured: its runs so far, and how it ended if it has."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bench.compare.budget import MIN_RUNS
from bench.compare.experiment import Limits
from bench.machine.disturbance import DISTURBED_SHARE, taken_share
from bench.results import statistics
from bench.results.result import Benchmark
from bench.verdict.rule import Verdict, combined
from bench.verdict.status import FAILED, MISTRUSTED, NOT_RUN
from bench.workers.selection import Selection
from bench.workers.turn import Turn


@dataclass
class Cell:
    """A cell on its way: its turns so far, and its end if it has come to one besides success.

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

    @property
    def times(self) -> list[float]:
        """Seconds of every timed run, in order."""
        return [seconds for turn in self.turns for seconds in turn.times]

    def end(self, status: str, reason: str) -> None:
        """Ends the cell unless it has ended before."""
        if not self.status:
            self.status, self.reason = status, reason

    def finished(self, limits: Limits) -> bool:
        """Whether no more runs are needed, or none can be afforded.

        Beyond the budget there are MIN_RUNS runs, if it was not too long to be run at all.
        """
        total = sum(self.times)
        enough = len(self.times) >= limits.runs and total >= limits.min_time
        spent = len(self.times) >= min(MIN_RUNS, limits.runs) and total >= limits.budget
        return bool(self.status) or enough or spent

    def benchmark(self, selection: Selection, threads: int, limits: Limits) -> Benchmark:
        """What is known of the cell by now."""
        status, reason = self._ending()
        return Benchmark(
            backend=selection.backend,
            configuration=selection.configuration,
            samples=self.samples,
            batch_size=self.batch_size,
            threads=threads,
            status=status,
            reason=reason,
            predicted_s=self.predicted,
            accuracy=self.accuracy,
            **self._timing(limits),
            **({} if self.own is None else figures(self.own)),
        )

    def _ending(self) -> tuple[str, str]:
        if self.status:
            return self.status, self.reason
        if not self.times:
            return NOT_RUN, "the comparison ended before it"
        verdicts = [verdict for verdict in (self.own, self.checked) if verdict is not None]
        if not verdicts:
            return MISTRUSTED, "there is no reference output to compare with"
        verdict = combined(verdicts)
        if verdict.status == FAILED and verdict is not self.own:
            images = f"{verdict.parity.rows} image(s)"
            return FAILED, f"on the first {images}, run for a check: {verdict.reason}"
        return verdict.status, verdict.reason

    def _timing(self, limits: Limits) -> dict[str, Any]:
        times = self.times
        if not times:
            return {}
        phases = [run for turn in self.turns for run in turn.phases]
        estimate = statistics.estimate_median(times)
        share = taken_share(turn.disturbance for turn in self.turns)
        warnings = []
        if share is not None and share > DISTURBED_SHARE:
            warnings.append(
                f"disturbed: others took over {DISTURBED_SHARE:.0%} of the time, so that its "
                "median is compared with no other"
            )
        if statistics.spread(times) > statistics.STABLE_SPREAD:
            warnings.append(
                f"unstable: half of the times differ by over {statistics.STABLE_SPREAD:.0%}"
            )
        if len(times) < limits.runs:
            warnings.append(f"{len(times)} runs instead of {limits.runs}")
        return {
            "times": tuple(times),
            "phases": {name: float(np.median([run[name] for run in phases])) for name in phases[0]},
            "median_s": estimate.median,
            "ci_low_s": estimate.low,
            "ci_high_s": estimate.high,
            "ci_confidence": estimate.confidence,
            "images_per_second": self.samples / estimate.median,
            "warning": "; ".join(warnings),
            "taken_share": share,
            "undisturbed_s": min(
                (s for turn in self.turns for s in turn.undisturbed()), default=None
            ),
            "turns": tuple(
                {
                    "runs": len(turn.times),
                    "switches": tuple(turn.switches),
                    "disturbance": turn.disturbance and asdict(turn.disturbance),
                }
                for turn in self.turns
            ),
        }


def figures(verdict: Verdict) -> dict[str, Any]:
    """The figures of a verdict as Benchmark's fields."""
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
