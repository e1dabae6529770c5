"""What every part of the engine benchmark is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.compare.cell import Limits
from bench.compare.comparison import Comparison, Options, Progress
from bench.compare.selection import Selection
from bench.data.dataset import Dataset
from bench.results.result import Result
from bench.workers import inputs
from bench.workers.inputs import Inputs
from columnar_nn.model.graph import Graph

BATCH_SIZE = 128
"""Rows of the largest batch: the size at which the peers are near their best."""

PROFILED_IMAGES = BATCH_SIZE
"""Images of a profiled run."""


@dataclass(frozen=True)
class Setup:
    """A network, images, the CPUs of the largest measurement, and how long to measure.

    `folder` is a temporary one that outlives every part.
    """

    graph: Graph
    dataset: Dataset
    cpus: tuple[int, ...]
    limits: Limits
    seed: int
    folder: Path
    progress: Progress

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """1, 2, 4 and so on up to the number of CPUs, and that itself."""
        most = len(self.cpus)
        return (*(2**power for power in range((most - 1).bit_length())), most)

    @cached_property
    def data(self) -> Inputs:
        """The files of workers that need a few images only."""
        return inputs.prepare(self.folder, self.graph, self.dataset, PROFILED_IMAGES, BATCH_SIZE)

    def compare(
        self, selections: Sequence[Selection], samples: Sequence[int], threads: int = 1
    ) -> Result:
        """A comparison on the first `threads` CPUs, all in one run, its outputs checked."""
        options = Options(
            selections=tuple(selections),
            samples=tuple(samples),
            batch_size=BATCH_SIZE,
            algorithm="auto",
            cpus=self.cpus[:threads],
            limits=self.limits,
            seed=self.seed,
        )
        comparison = Comparison(options, self.graph, self.dataset, self.progress)
        comparison.run()
        return comparison.result({"settings": {"budget_s": self.limits.budget}})


def columnar(configuration: str, threads: int | None = None) -> Selection:
    """The columnar engine in one configuration."""
    return Selection("columnar", configuration, threads=threads)
