"""What is measured: backends on numbers of images, how often, and in which random order."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Every selection on every number of samples, run as `options` say, in an order of `seed`."""

    selections: tuple[Selection, ...]
    samples: tuple[int, ...]
    options: Options
    limits: Limits
    seed: int
