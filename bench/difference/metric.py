"""The figures that are compared: one of each session, made from a cell's observations."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

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

    def of(self, values: Sequence[float]) -> float | None:
        """The figure; None of too few values, or if it is not positive."""
        figure = float(self.summarize(values)) if len(values) >= self.least else math.nan
        return figure if figure > 0 and math.isfinite(figure) else None


FASTEST = Metric("fastest", "time", (), "s", min)
"""The headline: between sessions of one version it differs least (docs/diff.md)."""

_NAMED = {
    metric.name: metric
    for metric in (
        FASTEST,
        Metric("median", "time", (), "s", lambda values: float(np.median(values))),
        Metric("cold_start", "cold_start", ("total",), "s", min),
        Metric("peak_memory", "rss", ("peak",), "byte", max),
    )
}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)")


def parse(name: str) -> Metric:
    """The metric of that name; raises UsageError."""
    if name in _NAMED:
        return _NAMED[name]
    if match := _PERCENTILE.fullmatch(name):
        percent = Decimal(match[1])
        share = float(percent) / 100
        # Of fewer values a percentile is their largest, whichever percentile it is.
        least = math.ceil(100 / (100 - percent))
        return Metric(name, "time", (), "s", lambda v: float(np.quantile(v, share)), least)
    raise UsageError(f"metric {name!r}: choose from {', '.join(_NAMED)}, or a percentile as p99")
