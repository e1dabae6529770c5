"""What every part of the engine benchmark is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bench.compare.comparison import Comparison
from bench.compare.experiment import Experiment, Limits
from bench.data.dataset import Dataset
from bench.results.result import Result
from bench.results.results import Results
from bench.results.session import Session
from bench.results.summary import summarize
from bench.results.traffic import Traffic
from bench.text.progress import Progress
from bench.workers import inputs
from bench.workers.held import HeldWorker
from bench.workers.inputs import Inputs
from bench.workers.options import Options
from bench.workers.selection import Selection
from columnar_nn.model.graph import Graph

BATCH_SIZE = 128
"""Rows of the largest batch: the size at which the peers are near their best."""

PROFILED_IMAGES = BATCH_SIZE
"""Images of a profiled run."""

SESSION = "bench.engine.session:EngineSession"


@dataclass(frozen=True)
class Setup:
    """A network, images, how the largest measurement is run, and how long to measure.

    `options` are in batches of BATCH_SIZE. `folder` is a temporary one that outlives every part.
    `measured` collects the sessions of its comparisons, those that were interrupted too.
    """

    graph: Graph
    dataset: Dataset
    options: Options
    limits: Limits
    seed: int
    folder: Path
    progress: Progress
    measured: list[Results] = field(default_factory=list)

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """1, 2, 4 and so on up to the number of CPUs, and that itself."""
        most = self.options.threads
        return (*(2**power for power in range((most - 1).bit_length())), most)

    @cached_property
    def data(self) -> Inputs:
        """The files of workers that need a few images only."""
        return inputs.prepare(self.folder, self.graph, self.dataset, PROFILED_IMAGES, BATCH_SIZE)

    def of_several(self, number: int, count: int, graph: Graph, dataset: Dataset) -> Setup:
        """The same for one network of several, whose progress is a share of all."""

        def show(done: int, total: int, doing: str) -> None:
            self.progress(number * total + done, count * total, f"{graph.name}: {doing}")

        return replace(self, graph=graph, dataset=dataset, progress=show)

    def worker(self, threads: int = 1) -> HeldWorker:
        """A worker of the columnar engine on the first `threads` CPUs, nothing imported yet."""
        return HeldWorker(self.options.on_threads(threads), self.folder, SESSION)

    def compare(
        self,
        part: str,
        selections: Sequence[Selection],
        samples: Sequence[int],
        threads: int = 1,
        traffic: Traffic | None = None,
    ) -> Result:
        """A comparison on the first `threads` CPUs, all in one run, its outputs checked.

        Of runs, or of queries that arrive as `traffic` says. It is a session of its own, of the
        part of this name.
        """
        options = self.options.on_threads(threads)
        experiment = Experiment(
            tuple(selections),
            tuple(samples),
            options,
            self.limits,
            self.seed,
            traffic or Traffic(),
        )
        session = Session("engine", {"part": part, **experiment.settings()}, options.cpus)
        comparison = Comparison(session, experiment, self.graph, self.dataset, self.progress)
        try:
            comparison.run()
        finally:
            self.measured.append(comparison.results())
        return summarize(self.measured[-1])


def columnar(configuration: str, threads: int | None = None) -> Selection:
    """The columnar engine in one configuration."""
    return Selection("columnar", configuration, threads=threads)
