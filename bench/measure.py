"""The comparison: starts every contender, warms and checks its cells, then times them in turns.

Cells of all contenders are interleaved in random order, in several rounds, so that a change in
the machine's speed falls on all of them alike. Only the worker being measured runs; the others
are stopped.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cells, inputs
from bench.cell_state import Limits
from bench.cells import Selection
from bench.contender import Contender
from bench.data.dataset import Dataset
from bench.inputs import Inputs, Truth
from bench.result import Result
from bench.worker_process import WorkerError
from columnar_nn.model.graph import Graph

ROUNDS = 5
"""Turns into which a cell's runs are divided."""

REFERENCE_BUDGET_S = 5.0
"""Seconds that computing the reference outputs may take; with more images, some are chosen."""

_MIN_REFERENCE_ROWS = 16

Progress = Callable[[int, int, str], None]
"""Told steps done, steps in all, and what comes next."""


@dataclass(frozen=True)
class Options:
    """What to compare, and how long to measure."""

    selections: tuple[Selection, ...]
    samples: tuple[int, ...]
    batch_size: int
    algorithm: str
    cpus: tuple[int, ...]
    limits: Limits
    seed: int


class Comparison:
    """One comparison in progress; `result` can be asked at any time, also after Ctrl-C."""

    def __init__(
        self, options: Options, graph: Graph, dataset: Dataset, progress: Progress
    ) -> None:
        self._options = options
        self._graph = graph
        self._dataset = dataset
        self._progress = progress
        self._contenders: list[Contender] = []
        self._reference_failure = ""
        self._truth: Truth | None = None
        self._complete = False
        self._done = 0

    def run(self) -> None:
        """Does all of it. Whatever ends it, KeyboardInterrupt too, no worker is left behind."""
        with tempfile.TemporaryDirectory(prefix="cnn-bench-") as name:
            folder = Path(name)
            self._contenders = [self._contender(s, folder) for s in self._options.selections]
            reference = self._reference(folder)
            try:
                self._measure(folder, reference)
                self._complete = True
            finally:
                for contender in (*self._contenders, reference):
                    contender.kill()

    def result(self, context: Mapping[str, Any]) -> Result:
        """All that is known by now, under `context` and what the comparison adds to it."""
        return Result(
            context={**context, "parity": self._parity_context()},
            backends=tuple(contender.record() for contender in self._contenders),
            benchmarks=tuple(b for c in self._contenders for b in c.benchmarks()),
            complete=self._complete,
        )

    def _contender(self, selection: Selection, folder: Path) -> Contender:
        options = self._options
        return Contender(
            selection,
            samples=options.samples,
            batch_size=options.batch_size,
            algorithm=options.algorithm,
            cpus=options.cpus[: selection.threads],
            limits=options.limits,
            folder=folder,
        )

    def _reference(self, folder: Path) -> Contender:
        """The contender whose outputs are the truth: the reference, measured or not."""
        for contender in self._contenders:
            if contender.selection.backend == "reference":
                return contender
        return self._contender(cells.select(["reference"])[0], folder)

    def _measure(self, folder: Path, reference: Contender) -> None:
        samples, batch_size = max(self._options.samples), self._options.batch_size
        data = inputs.prepare(folder, self._graph, self._dataset, samples, batch_size)
        self._step("reference outputs", 0)
        reference.start(data)
        self._truth = self._known_outputs(folder, data, reference)
        if reference not in self._contenders:
            reference.finish()
        for contender in self._contenders:
            self._step(f"starting {contender.selection.label}")
            if contender is not reference:
                contender.start(data)
            for cell in contender.cells:
                self._step(f"checking {contender.selection.label} on {cell.samples}")
                contender.warm_up(cell, self._truth)
        self._take_turns()
        for contender in self._contenders:
            contender.finish()

    def _known_outputs(self, folder: Path, data: Inputs, reference: Contender) -> Truth | None:
        images, outputs = folder / "compared.arrow", folder / "reference.arrow"
        try:
            first = data.first_batch
            seconds = reference.outputs_for(data.images, first, first, outputs)
            limit = max(_MIN_REFERENCE_ROWS, int(REFERENCE_BUDGET_S * first / seconds))
            rows = cells.rows_to_compare(self._options.samples, limit, self._graph.batch or 1)
            inputs.write_rows(data.images, rows, images, self._options.batch_size)
            reference.outputs_for(images, len(rows), self._options.batch_size, outputs)
        except WorkerError as error:
            self._reference_failure = error.reason
            return None
        return Truth.load(rows, outputs)

    def _take_turns(self) -> None:
        limits = self._options.limits
        shuffler = random.Random(self._options.seed)
        for turns_left in range(ROUNDS, 0, -1):
            pending = [(c, cell) for c in self._contenders for cell in c.cells]
            shuffler.shuffle(pending)
            for contender, cell in pending:
                self._step(f"timing {contender.selection.label} on {cell.samples}")
                if not cell.finished(limits):
                    contender.turn(cell, turns_left)

    def _step(self, doing: str, done: int = 1) -> None:
        num_cells = len(self._options.samples)
        total = len(self._contenders) * (1 + num_cells * (1 + ROUNDS))
        self._progress(self._done, total, doing)
        self._done += done

    def _parity_context(self) -> dict[str, Any]:
        if self._truth is None:
            return {"rows": 0, "failure": self._reference_failure}
        return {
            "rows": len(self._truth.rows),
            "failure": "",
            "tolerances": {
                name: {"atol": tolerance.atol, "rtol": tolerance.rtol}
                for name, tolerance in self._truth.tolerances.items()
            },
        }
