"""What the executor adds to its kernels: plan, drivers, Python and Arrow, for each batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.engine.setup import Setup
from bench.engine.worker import engine_worker

CONFIGURATION = "pipeline/auto"
BATCHES = (1, 32, 128)


@dataclass(frozen=True)
class Overhead:
    """Medians in seconds, one thread, of one batch of `images`.

    `end_to_end` is of runs without kernel clocks. `kernels` and `outside` are of runs with them:
    time in kernels, and the rest of that same run.
    """

    images: int
    runs: int
    end_to_end: float
    kernels: float
    outside: float

    @property
    def share(self) -> float:
        """Of the time of a run: what the kernels do not account for."""
        return self.outside / (self.kernels + self.outside)


@dataclass(frozen=True)
class OverheadResult:
    """One entry for each size of a batch."""

    configuration: str
    batches: tuple[Overhead, ...]


def measure(setup: Setup) -> OverheadResult:
    """Runs with and without kernel clocks in turn."""
    found = []
    with engine_worker(setup) as worker:
        worker.start(setup, CONFIGURATION)
        for index, images in enumerate(BATCHES):
            setup.progress(index, len(BATCHES), f"batches of {images}")
            reply = worker.ask(
                "profile",
                images=str(setup.data.images),
                samples=images,
                batch_size=images,
                min_seconds=setup.limits.min_time,
            )
            kernels = np.sum(reply["nanoseconds"], axis=1) / 1e9
            outside = np.array(reply["profiled"]) - kernels
            found.append(
                Overhead(
                    images=images,
                    runs=len(kernels),
                    end_to_end=float(np.median(reply["plain"])),
                    kernels=float(np.median(kernels)),
                    outside=float(np.median(outside)),
                )
            )
    return OverheadResult(CONFIGURATION, tuple(found))
