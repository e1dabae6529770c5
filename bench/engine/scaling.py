"""What more threads gain: on one image that they split, and on many; beside ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

from bench.engine.setup import Setup, columnar
from bench.results.result import Result
from bench.workers.selection import Selection

CONFIGURATIONS = ("pipeline/auto", "pipeline/direct")
PEER = "onnxruntime"
SAMPLES = (1, 32, 512, 2000)


@dataclass(frozen=True)
class Scaling:
    """Times with each number of threads, each pinned to a CPU, interleaved in one run."""

    threads: tuple[int, ...]
    comparison: Result


def measure(setup: Setup) -> Scaling:
    """One worker for each number of threads and configuration."""
    counts = setup.thread_counts
    selections = [columnar(name, count) for name in CONFIGURATIONS for count in counts]
    selections += [Selection(PEER, "default", threads=count) for count in counts]
    return Scaling(counts, setup.compare("threads", selections, SAMPLES, counts[-1]))
