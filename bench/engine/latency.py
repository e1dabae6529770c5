"""One image after another, each as soon as the one before is answered: the median, and the tail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.engine.peers import engines
from bench.engine.setup import Setup
from bench.results.percentiles import least_queries
from bench.results.result import Result
from bench.results.results import Results
from bench.results.schema import SINGLE_STREAM
from bench.results.traffic import PERCENTILES, Traffic

TAIL = 99.0
"""The percentile that the tail is told by."""


@dataclass(frozen=True)
class Latency:
    """Latencies of every engine in the scenario single-stream, one thread, interleaved.

    `kept` has in seconds, by label, those of the queries during which no thread of the engine was
    taken off its CPU for another process: what of the tail is its own.
    """

    comparison: Result
    kept: Mapping[str, tuple[float, ...]]


def measure(setup: Setup) -> Latency:
    """As many queries as the percentile takes, and more if there is time for them."""
    runs = max(setup.limits.runs, least_queries(TAIL))
    patient = replace(setup, limits=replace(setup.limits, runs=runs))
    traffic = Traffic(SINGLE_STREAM, PERCENTILES)
    comparison = patient.compare("latency", engines(), [1], traffic=traffic)
    return Latency(comparison, _kept(setup.measured[-1]))


def _kept(results: Results) -> dict[str, tuple[float, ...]]:
    """Latencies, by label of the engine, of queries without an involuntary switch of threads."""
    subjects = {row["subject"]: row for row in results["subject"]}
    of_cell = {row["cell"]: subjects[row["subject"]] for row in results["cell"]}
    found: dict[str, tuple[float, ...]] = {}
    for row in results["observation"]:
        if row["metric"] == "latency":
            subject = of_cell[row["cell"]]
            label = f"{subject['backend']}:{subject['configuration']}"
            pairs = zip(row["value"], row["switches"], strict=True)
            kept = tuple(seconds for seconds, switches in pairs if not switches)
            found[label] = found.get(label, ()) + kept
    return found
