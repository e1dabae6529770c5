"""The search for the largest rate within a limit of latency: bisection, one rate after another."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from bench.results.traffic import Limit

STEPS = 6
"""Rates that are tried: the two come as near as 1/64 of what an engine can do."""


class RateSearch:
    """Bisects between a rate that is within the limit and one that is not.

    At first these are 0 and what an engine can do, one over the mean time of a query alone: from
    that rate on the queue grows for as long as queries come. `rate` is the next to be tried; None
    after STEPS, where queries alone break the limit, or where too few were measured to tell.
    """

    def __init__(self, limit: Limit, alone: Sequence[float]) -> None:
        """`alone` are the latencies of queries one by one."""
        self._limit, self._left = limit, STEPS
        self._within, self._beyond = 0.0, 1 / fmean(alone) if alone else 0.0
        self.rate = self._next() if limit.holds(alone) else None

    def tell(self, latencies: Sequence[float]) -> None:
        """The latencies at `rate`, which is the next one then."""
        assert self.rate is not None, "told of a rate that was not asked for"
        holds = self._limit.holds(latencies)
        if holds:
            self._within = self.rate
        elif holds is not None:
            self._beyond = self.rate
        self._left -= 1
        self.rate = self._next() if self._left and holds is not None else None

    def _next(self) -> float:
        return float(f"{(self._within + self._beyond) / 2:.4g}")
