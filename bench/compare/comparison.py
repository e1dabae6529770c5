"""The comparison: starts every contender, warms and checks its cells, then times them in turns.

Cells of all contenders are interleaved in random order, in several rounds, so that a change in
the machine's speed falls on all of them alike. Only the worker being measured runs; the others
are stopped.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.compare import selection as cells
from bench.compare.cell import CellState, Limits
from bench.compare.contender import Contender
from bench.compare.selection import Selection
from bench.data.dataset import Dataset
from bench.files.temporary import temporary_folder
from bench.results.result import Result
from bench.workers import inputs
from bench.workers.inputs import Inputs, Overrides, Truth
from bench.workers.process import WorkerError
from columnar_nn.model.graph import Graph

ROUNDS = 5
"""Turns into which a cell's runs are divided."""

REFERENCE_BUDGET_S = 5.0
"""Seconds that computing the reference outputs may take; with more images, some are chosen."""

CHECKED_IMAGES = 32
"""Every configuration runs so many images for a check, whatever its numbers of samples."""

MIN_CHECKED_IMAGES = 4
"""... and of a large network as many as the budget allows, but at least these."""

_PREPARED_IMAGES = 2 * CHECKED_IMAGES
"""A check in whole batches may take nearly twice its images."""

Progress = Callable[[int, int, str], None]
"""Told steps done, steps in all, and what comes next."""

Record = Callable[[str, Mapping[str, Any]], None]
"""Told what was measured as soon as it was: a table of bench/results/journal.py, and the fields."""


@dataclass(frozen=True)
class Options:
    """What to compare, and how long to measure.

    `named` has the names by which the user chose the selections, if so; `strict` says that a
    disturbed cell is a failure.
    """

    selections: tuple[Selection, ...]
    samples: tuple[int, ...]
    batch_size: int
    algorithm: str
    cpus: tuple[int, ...]
    limits: Limits
    seed: int
    overrides: Overrides = field(default_factory=Overrides)
    named: tuple[str, ...] = ()
    strict: bool = False

    @property
    def images(self) -> int:
        """How many images are prepared."""
        return max(*self.samples, _PREPARED_IMAGES)


class Comparison:
    """One comparison in progress; `result` can be asked at any time, also after Ctrl-C."""

    def __init__(
        self,
        options: Options,
        graph: Graph,
        dataset: Dataset,
        progress: Progress,
        record: Record = lambda table, fields: None,
    ) -> None:
        self._options = options
        self._graph = graph
        self._dataset = dataset
        self._progress = progress
        self._record = record
        self._contenders: list[Contender] = []
        self._reference_failure = ""
        self._truth: Truth | None = None
        self._complete = False
        self._done = 0

    def run(self) -> None:
        """Does all of it. Whatever ends it, KeyboardInterrupt too, no worker is left behind."""
        with temporary_folder() as folder:
            self._contenders = [self._contender(s, folder) for s in self._options.selections]
            evaluations = {
                configuration: self._evaluation(configuration, folder)
                for configuration in ("float64", "float32")
            }
            try:
                self._measure(folder, evaluations)
                self._complete = True
            finally:
                for contender in (*self._contenders, *evaluations.values()):
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

    def _evaluation(self, configuration: str, folder: Path) -> Contender:
        """The reference in float64, the truth, or in float32, its noise; measured or not."""
        for contender in self._contenders:
            if contender.selection.label == f"reference:{configuration}":
                return contender
        return self._contender(cells.select([f"reference:{configuration}"])[0], folder)

    def _measure(self, folder: Path, evaluations: Mapping[str, Contender]) -> None:
        options = self._options
        data = inputs.prepare(
            folder, self._graph, self._dataset, options.images, options.batch_size
        )
        self._step("reference outputs", 0)
        for evaluation in evaluations.values():
            evaluation.start(data)
        self._truth = self._known_outputs(folder, data, evaluations)
        for evaluation in evaluations.values():
            if evaluation not in self._contenders:
                evaluation.finish()
        for contender in self._contenders:
            self._step(f"starting {contender.selection.label}")
            if contender not in evaluations.values():
                contender.start(data)
            self._record("backend", asdict(contender.record()))
            for cell in contender.cells:
                self._step(f"checking {contender.selection.label} on {cell.samples}")
                contender.warm_up(cell, self._truth)
                self._record("cell", asdict(contender.benchmark(cell)))
            self._step(f"checking {contender.selection.label}")
            contender.check(self._truth)
            self._record("backend", asdict(contender.record()))
        self._take_turns()
        for contender in self._contenders:
            contender.finish()

    def _known_outputs(
        self, folder: Path, data: Inputs, evaluations: Mapping[str, Contender]
    ) -> Truth | None:
        options = self._options
        images = folder / "compared.arrow"
        outputs = {name: folder / f"{name}.arrow" for name in evaluations}
        try:
            first = data.first_batch
            seconds = evaluations["float64"].outputs_for(
                data.images, first, first, outputs["float64"]
            )
            limit = max(MIN_CHECKED_IMAGES, int(REFERENCE_BUDGET_S * first / seconds))
            checked = -(-min(CHECKED_IMAGES, limit) // first) * first
            rows = cells.rows_to_compare(options.samples, checked, limit, first)
            inputs.write_compared(data.images, rows, images, options.batch_size)
            for name, count in (("float64", len(rows)), ("float32", 2 * len(rows))):
                evaluations[name].outputs_for(images, count, options.batch_size, outputs[name])
        except WorkerError as error:
            self._reference_failure = error.reason
            return None
        return Truth.load(rows, checked, outputs["float64"], outputs["float32"], options.overrides)

    def _take_turns(self) -> None:
        limits = self._options.limits
        shuffler = random.Random(self._options.seed)
        self._turns, self._turns_started = 0, time.monotonic()
        for turns_left in range(ROUNDS, 0, -1):
            pending = [(c, cell) for c in self._contenders for cell in c.cells]
            shuffler.shuffle(pending)
            for contender, cell in pending:
                self._step(f"timing {contender.selection.label} on {cell.samples}")
                if not cell.finished(limits):
                    self._turn(contender, cell, turns_left)

    def _turn(self, contender: Contender, cell: CellState, turns_left: int) -> None:
        start = time.monotonic()
        turn = contender.turn(cell, turns_left)
        self._record(
            "turn",
            {
                "backend": contender.selection.backend,
                "configuration": contender.selection.configuration,
                "samples": cell.samples,
                "batch_size": cell.batch_size,
                "round": ROUNDS - turns_left,
                "order": self._turns,
                "start_s": start - self._turns_started,
                "status": cell.status,
                "reason": cell.reason,
                **({} if turn is None else asdict(turn)),
            },
        )
        self._turns += 1

    def _step(self, doing: str, done: int = 1) -> None:
        num_cells = len(self._options.samples)
        total = len(self._contenders) * (2 + num_cells * (1 + ROUNDS))
        self._progress(self._done, total, doing)
        self._done += done

    def _parity_context(self) -> dict[str, Any]:
        if self._truth is None:
            return {"rows": 0, "failure": self._reference_failure}
        return {"failure": "", **self._truth.context()}
