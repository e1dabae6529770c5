"""What the executor adds to its kernels: Python and Arrow, for each batch.

Of a run of one batch, before which nothing else has run, and of one of many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.engine.setup import PROFILED_IMAGES, Setup, columnar
from bench.machine.disturbance import Disturbance

CONFIGURATION = "pipeline/auto"
RUNS = ((1, 1), (1, PROFILED_IMAGES), (32, 1), (32, PROFILED_IMAGES // 32), (PROFILED_IMAGES, 1))
"""Images in a batch, and batches in a run."""


@dataclass(frozen=True)
class Overhead:
    """Medians in seconds a batch, one thread, of runs of `batches` batches of `images`.

    `end_to_end` is of plain runs. `kernels` and `outside` are of clocked ones: time in kernels, and
    the rest of that same run. The seconds of each run are `plain`, `clocked` and, of its kernels,
    `kernel_seconds`; `disturbance` is what others took of all of them.
    """

    images: int
    batches: int
    runs: int
    end_to_end: float
    kernels: float
    outside: float
    plain: tuple[float, ...] = ()
    clocked: tuple[float, ...] = ()
    kernel_seconds: tuple[float, ...] = ()
    disturbance: Disturbance | None = None

    @property
    def share(self) -> float:
        """Of the time of a run: what the kernels do not account for."""
        return self.outside / (self.kernels + self.outside)


@dataclass(frozen=True)
class OverheadResult:
    """One entry for each kind of run."""

    configuration: str
    runs: tuple[Overhead, ...]


def measure(setup: Setup) -> OverheadResult:
    """Runs with and without kernel clocks in turn."""
    found = []
    with setup.worker() as worker:
        worker.start(columnar(CONFIGURATION), setup.data)
        for index, (images, batches) in enumerate(RUNS):
            setup.progress(index, len(RUNS), f"{batches} batch(es) of {images}")
            reply, disturbance = worker.watch(
                "overhead",
                images=str(setup.data.images),
                samples=images * batches,
                batch_size=images,
                min_seconds=setup.limits.min_time,
            )
            kernels = np.array(reply["kernels"])
            outside = np.array(reply["clocked"]) - kernels
            found.append(
                Overhead(
                    images=images,
                    batches=batches,
                    runs=len(kernels),
                    end_to_end=float(np.median(reply["plain"])) / batches,
                    kernels=float(np.median(kernels)) / batches,
                    outside=float(np.median(outside)) / batches,
                    plain=tuple(reply["plain"]),
                    clocked=tuple(reply["clocked"]),
                    kernel_seconds=tuple(map(float, kernels)),
                    disturbance=disturbance,
                )
            )
    return OverheadResult(CONFIGURATION, tuple(found))
