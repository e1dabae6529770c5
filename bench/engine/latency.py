"""One image after another, each as soon as the one before is answered: the median, and the tail."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.engine.peers import engines
from bench.engine.setup import Setup
from bench.results.percentiles import least_queries
from bench.results.result import Result
from bench.results.schema import SINGLE_STREAM
from bench.results.traffic import PERCENTILES, Traffic

TAIL = 99.0
"""The percentile that the tail is told by."""


@dataclass(frozen=True)
class Latency:
    """Latencies of every engine in the scenario single-stream, one thread, interleaved."""

    comparison: Result


def measure(setup: Setup) -> Latency:
    """As many queries as the percentile takes, and more if there is time for them."""
    runs = max(setup.limits.runs, least_queries(TAIL))
    patient = replace(setup, limits=replace(setup.limits, runs=runs))
    traffic = Traffic(SINGLE_STREAM, PERCENTILES)
    return Latency(patient.compare("latency", engines(), [1], traffic=traffic))
