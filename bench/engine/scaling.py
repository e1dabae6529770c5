"""What more threads gain: on one image that they split, and on many."""

from __future__ import annotations

from dataclasses import dataclass

from bench.engine.setup import Setup, columnar
from bench.result import Result

CONFIGURATIONS = ("pipeline/auto", "pipeline/direct")
SAMPLES = (1, 32, 512, 2000)


@dataclass(frozen=True)
class Scaling:
    """Times of 1 to `threads` threads, each pinned to a CPU, interleaved in one run."""

    threads: int
    comparison: Result


def measure(setup: Setup) -> Scaling:
    """One worker for each number of threads and configuration."""
    threads = len(setup.cpus)
    selections = [
        columnar(name, count) for name in CONFIGURATIONS for count in range(1, threads + 1)
    ]
    return Scaling(threads, setup.compare(selections, SAMPLES, threads))
