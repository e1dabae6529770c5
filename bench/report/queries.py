"""Queries in SQL: what each part of a run took, by engine, query and number of images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from bench.results.result import Benchmark
from bench.results.results import Results
from bench.results.schema import SQL_PARTS
from bench.results.statistics import Estimate, estimate_median
from bench.results.summary import queried
from bench.verdict.status import PASSED, worst


def queries(parts: Sequence[Results]) -> list[dict[str, Any]]:
    """Rows of the table `queries`, of one setting: whole queries first, the fastest before others.

    What several sessions measured is the median of theirs.
    """
    cells: dict[tuple[str, str, int], list[Benchmark]] = defaultdict(list)
    for part in parts:
        for cell in queried(part):
            if cell.median_s:
                cells[cell.query, cell.label, cell.samples].append(cell)
    rows = [row for same in cells.values() for row in _rows(same)]
    return sorted(rows, key=lambda row: (row["query"], row["samples"], row["alone"], row["run_s"]))


def _rows(same: Sequence[Benchmark]) -> Iterator[dict[str, Any]]:
    first = same[0]
    run = _between([Estimate(c.median_s, c.ci_low_s, c.ci_high_s, 0) for c in same])  # type: ignore[arg-type]
    status = worst(cell.status for cell in same)
    doubts = [status] if status != PASSED else []
    doubts += ["disturbed"] if any(cell.disturbed for cell in same) else []
    fastest = [cell.fastest_s for cell in same if cell.fastest_s]
    for part in SQL_PARTS:
        seconds = [cell.phases.get(part, 0.0) for cell in same]
        yield {
            "engine": first.label,
            "query": first.query,
            "samples": first.samples,
            "part": part,
            "seconds": estimate_median(seconds).median,
            "run_s": run.median,
            "low_s": run.low,
            "high_s": run.high,
            "fastest_s": min(fastest, default=None),
            "alone": first.relational,
            "doubt": ", ".join(doubts),
        }


def _between(estimates: Sequence[Estimate]) -> Estimate:
    if len(estimates) == 1:
        return estimates[0]
    return estimate_median([estimate.median for estimate in estimates])
