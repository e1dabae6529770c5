"""Whether time is linear in the number of images, and memory independent of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.engine.setup import BATCH_SIZE, Setup, columnar
from bench.results.result import Result
from bench.workers import inputs

CONFIGURATION = "pipeline/auto"
SAMPLES = (1, 32, 128, 512, 2000, 10_000, 50_000)
BUDGET = 60.0
"""Seconds that a run may take at least, whatever the budget of other parts: the largest number of
images is the point of this one, and a slow core takes half a minute for it.
"""


@dataclass(frozen=True)
class StreamedMemory:
    """Largest resident memory of a process that streamed so many images, and before it did."""

    samples: int
    started_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class BatchSizes:
    """Times by number of images, interleaved in one run; memory of one fresh process each."""

    comparison: Result
    memory: tuple[StreamedMemory, ...]


def measure(setup: Setup) -> BatchSizes:
    """Streams every number of images, then compares them."""
    folder = setup.folder / "streamed"
    folder.mkdir()
    data = inputs.prepare(folder, setup.graph, setup.dataset, max(SAMPLES), BATCH_SIZE)
    memory = []
    for index, samples in enumerate(SAMPLES):
        setup.progress(index, len(SAMPLES), f"streaming {samples} image(s)")
        with setup.worker() as worker:
            worker.start(columnar(CONFIGURATION), setup.data)
            arguments = {"images": str(data.images), "batch_size": BATCH_SIZE}
            # One whole batch first: the memory of one is what does not depend on their number.
            started = worker.ask("stream", samples=BATCH_SIZE, **arguments)["peak_rss_bytes"]
            peak = worker.ask("stream", samples=samples, **arguments)["peak_rss_bytes"]
        memory.append(StreamedMemory(samples, started, peak))
    data.images.unlink()
    budget = max(BUDGET, setup.limits.budget)
    patient = replace(setup, limits=replace(setup.limits, budget=budget))
    comparison = patient.compare("batches", [columnar(CONFIGURATION)], SAMPLES)
    return BatchSizes(comparison, tuple(memory))
