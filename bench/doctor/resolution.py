"""The smallest change that a machine can show, from runs of one thing that was called two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.difference.permutation import fewest_sessions
from bench.difference.planning import pooled_deviation, smallest_shift

RUNS = 5
"""Of a side of a comparison: as many as `compare` makes of a cell unless told otherwise."""

SHARE = 0.95
"""Of comparisons of a thing with itself, those that must differ by less than a change."""

MIN_COMPARISONS = 8


@dataclass(frozen=True)
class Resolution:
    """Changes below these may be noise; ratios less one.

    `interleaved`: medians of RUNS runs each, in turn, as engines are within one comparison.
    `apart`: medians of RUNS runs each, one after the other, as of two commands. `sessions`: what as
    few sessions of either as `diff` takes would show with the probability that it counts on
    (bench/difference/planning.py), by their fastest runs; sessions are only seconds apart here.
    `ratio` is the median of B over that of A, of all runs: 1 but for noise.
    """

    interleaved: float
    apart: float
    sessions: float
    ratio: float

    @property
    def change(self) -> float:
        """What may be noise in one comparison, however it is made."""
        return max(self.interleaved, self.apart)


def resolution(pairs: Sequence[tuple[float, float]]) -> Resolution | None:
    """From the times of A and B, pair by pair; None if there are too few to say."""
    number = len(pairs) // RUNS
    if number < MIN_COMPARISONS:
        return None
    times = np.array(pairs[: number * RUNS]).reshape(number, RUNS, 2)
    medians = np.log(np.median(times, axis=1))
    within = np.abs(medians[:, 1] - medians[:, 0])
    first, second = np.triu_indices(number, 1)
    apart = np.abs(medians[first, 1] - medians[second, 0])
    fastest = np.log(times.min(axis=(1, 2)))
    deviation = pooled_deviation(fastest, fastest[:0])
    assert deviation is not None, "there are several sessions"
    sessions = fewest_sessions()
    every = np.median(np.array(pairs), axis=0)
    return Resolution(
        interleaved=_change(np.quantile(within, SHARE)),
        apart=_change(np.quantile(apart, SHARE)),
        sessions=_change(smallest_shift(deviation, sessions, sessions, 1)),
        ratio=float(every[1] / every[0]),
    )


def _change(shift: float) -> float:
    """A difference of logarithms as a ratio less one."""
    return math.expm1(float(shift))
