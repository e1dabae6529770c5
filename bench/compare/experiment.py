"""What is measured: backends on numbers of images, how often, and in which random order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.results.traffic import Traffic
from bench.workers.options import Options
from bench.workers.selection import Selection


@dataclass(frozen=True)
class Limits:
    """How long to measure: `runs` times and `min_time` seconds at least, as far as `budget`
    seconds go."""

    runs: int
    min_time: float
    budget: float


@dataclass(frozen=True)
class Experiment:
    """Every selection on every number of samples, run as `options` say, in an order of `seed`.

    As `traffic` says they are runs, or queries of so many images; the `limits` are of either.
    """

    selections: tuple[Selection, ...]
    samples: tuple[int, ...]
    options: Options
    limits: Limits
    seed: int
    traffic: Traffic = field(default_factory=Traffic)

    def settings(self) -> dict[str, Any]:
        """It as the settings of a session have it."""
        options, limits = self.options, self.limits
        return {
            "backends": [selection.label for selection in self.selections],
            "samples": list(self.samples),
            "batch_size": options.batch_size,
            "threads": options.threads,
            "cpus": list(options.cpus),
            "runs": limits.runs,
            "min_time_s": limits.min_time,
            "budget_s": limits.budget,
            "timeout_s": options.timeout,
            "algorithm": options.algorithm,
            "seed": self.seed,
            **self.traffic.settings(),
        }
