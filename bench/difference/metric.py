"""The figures that are compared: one of each session, made from a cell's observations."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from bench.results.percentiles import least_queries, percentile
from columnar_nn.errors import UsageError


@dataclass(frozen=True)
class Metric:
    """A figure of a cell in a session; `summarize` makes it of all values of one series.

    The series is that of the observations of a metric and part (docs/results.md); each takes
    `least` values, or says too little.
    """

    name: str
    observed: str
    part: tuple[str, ...]
    unit: str
    summarize: Callable[[Sequence[float]], float]
    least: int = 1

    @property
    def title(self) -> str:
        """Its name, which tells latencies from times of runs."""
        return f"latency, {self.name}" if self.observed == _LATENCY else self.name

    @property
    def takes(self) -> str:
        """How many values it takes of a session, in words."""
        return f"{self.least:,} {'queries' if self.observed == _LATENCY else 'runs'}"

    def of(self, values: Sequence[float]) -> float | None:
        """The figure; None of too few values, or if it is not positive."""
        figure = float(self.summarize(values)) if len(values) >= self.least else math.nan
        return figure if figure > 0 and math.isfinite(figure) else None


_TIME, _LATENCY = "time", "latency"


def _of_latencies(percent: float) -> Metric:
    """A percentile of latencies, refused as compare refuses it (bench/results/percentiles.py)."""

    def summarize(values: Sequence[float]) -> float:
        found = percentile(values, percent)
        assert found is not None, "there are enough values"
        return found.seconds

    return Metric(f"p{percent:g}", _LATENCY, (), "s", summarize, least_queries(percent))


FASTEST = Metric("fastest", _TIME, (), "s", min)
"""The headline: between sessions of one version it differs least (docs/diff.md)."""

LATENCIES = tuple(map(_of_latencies, (50.0, 90.0, 99.0)))
"""The headline of queries: the first always, the others where the queries carry them."""

_NAMED = {
    "fastest": (FASTEST,),
    "median": tuple(
        Metric("median", observed, (), "s", lambda values: float(np.median(values)))
        for observed in (_TIME, _LATENCY)
    ),
    "cold_start": (Metric("cold_start", "cold_start", ("total",), "s", min),),
    "peak_memory": (Metric("peak_memory", "rss", ("peak",), "byte", max),),
}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)")


@functools.cache
def parse(name: str) -> tuple[Metric, ...]:
    """The metrics of that name, of runs and of queries; raises UsageError."""
    if name in _NAMED:
        return _NAMED[name]
    if match := _PERCENTILE.fullmatch(name):
        percent = Decimal(match[1])
        share = float(percent) / 100
        # Of fewer values a percentile is their largest, whichever percentile it is.
        least = math.ceil(100 / (100 - percent))
        of_runs = Metric(name, _TIME, (), "s", lambda v: float(np.quantile(v, share)), least)
        return (of_runs, _of_latencies(float(percent))) if percent else (of_runs,)
    raise UsageError(f"metric {name!r}: choose from {', '.join(_NAMED)}, or a percentile as p99")
