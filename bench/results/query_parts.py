"""The parts of a run of a query in SQL, as its phases have them, and what they leave over."""

from __future__ import annotations

from bench.results.result import Benchmark

PARTS = ("scan", "relational", "conversion", "network")
"""Phases of a query (adapters/queries/engine.py)."""

REST = "rest"
"""What is in none of them: planning, and threads that wait."""


def rest(cell: Benchmark) -> float:
    """Seconds of a run that are in none of PARTS, of one that was timed."""
    assert cell.median_s is not None
    return max(0.0, cell.median_s - sum(cell.phases.get(part, 0.0) for part in PARTS))
