"""Percentiles of latency by scenario and rate, and the largest rates within a limit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from bench.results.percentiles import Percentile, percentile
from bench.results.result import Served
from bench.results.results import Results
from bench.results.statistics import estimate_median
from bench.results.summary import served
from bench.results.traffic import Limit, Traffic, knee
from bench.verdict.status import PASSED, worst

PERCENTS = (50.0, 75.0, 90.0, 95.0, 97.0, 98.0, 99.0, 99.5, 99.8, 99.9, 99.95, 99.99)
"""Of a curve, as far as the queries carry them; those that were asked for besides."""


def latencies(parts: Sequence[Results]) -> list[dict[str, Any]]:
    """Rows of the table `latencies`, of one setting; engines from the quickest median on.

    What several sessions measured is the median of theirs, and what bounds that.
    """
    cells: dict[tuple[Any, ...], list[Served]] = defaultdict(list)
    asked: set[float] = {*PERCENTS}
    for part in parts:
        if traffic := _traffic(part):
            asked |= {*traffic.percentiles, *([traffic.limit.percent] if traffic.limit else [])}
        for one in served(part):
            if one.cell.times:
                key = (one.cell.label, one.scenario, one.cell.samples, one.rate)
                cells[key].append(one)
    rows = [row for key, same in cells.items() for row in _rows(key, same, sorted(asked))]
    quickest: dict[str, float] = {}
    for row in sorted(rows, key=lambda row: -float(row["latency_s"])):
        quickest[row["engine"]] = row["latency_s"]
    return sorted(
        rows,
        key=lambda row: (
            *(quickest[row["engine"]], row["engine"], row["scenario"], row["samples"]),
            *(row["rate"] or 0.0, row["percent"]),
        ),
    )


def knees(parts: Sequence[Results]) -> list[dict[str, Any]]:
    """Rows of the table `knees`: of each engine and limit, the median of the sessions' rates."""
    found: dict[tuple[str, Limit], list[float]] = defaultdict(list)
    for part in parts:
        traffic = _traffic(part)
        if traffic is None or traffic.limit is None:
            continue
        rates: dict[str, list[tuple[float, Sequence[float]]]] = defaultdict(list)
        for one in served(part):
            if one.rate is not None and one.cell.times and one.cell.status == PASSED:
                rates[one.cell.label].append((one.rate, one.cell.times))
        for engine, tried in rates.items():
            best = knee(tried, traffic.limit)
            if best is not None:
                found[engine, traffic.limit].append(best)
    rows = [
        {
            "engine": engine,
            "rate": median(rates),
            "percent": limit.percent,
            "limit_s": limit.seconds,
            "sessions": len(rates),
        }
        for (engine, limit), rates in found.items()
    ]
    return sorted(rows, key=lambda row: -float(row["rate"]))  # type: ignore[arg-type]


def _rows(
    key: tuple[Any, ...], same: Sequence[Served], percents: Sequence[float]
) -> Iterator[dict[str, Any]]:
    engine, scenario, samples, rate = key
    status = worst(one.cell.status for one in same)
    doubts = [status] if status != PASSED else []
    doubts += ["disturbed"] if any(one.cell.disturbed for one in same) else []
    for percent in percents:
        carried = [percentile(one.cell.times, percent) for one in same]
        known = [one for one in carried if one is not None]
        if known:
            found = _between(known)
            yield {
                "engine": engine,
                "scenario": scenario,
                "samples": samples,
                "rate": rate,
                "queries": sum(len(one.cell.times) for one in same),
                "sessions": len(same),
                "percent": percent,
                "latency_s": found.seconds,
                "at_most_s": found.at_most,
                "sound": not doubts,
                "doubt": ", ".join(doubts),
            }


def _between(known: Sequence[Percentile]) -> Percentile:
    """Of one session its own; of several the median of theirs, and the end of its interval."""
    if len(known) == 1:
        return known[0]
    estimate = estimate_median([one.seconds for one in known])
    return Percentile(known[0].percent, estimate.median, estimate.high)


def _traffic(part: Results) -> Traffic | None:
    """What was asked of the part's session; None if that cannot be read."""
    settings = part["session"][0]["settings"]
    try:
        return Traffic.of(settings) if isinstance(settings, dict) else None
    except ValueError:
        return None
