"""The comparison: starts every contender, warms and checks its cells, then times them in turns.

Cells of all contenders are interleaved in random order, in several rounds, so that a change in
the machine's speed falls on all of them alike. Only the worker being measured runs; the others
are stopped.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.compare.cell import Cell
from bench.compare.contender import Contender
from bench.compare.evaluation import evaluations as reference_selections
from bench.compare.evaluation import known_outputs, num_images
from bench.compare.experiment import Experiment
from bench.compare.rate_search import RateSearch
from bench.compare.recording import Recording
from bench.compare.truth import Overrides, Truth
from bench.data.dataset import Dataset
from bench.files.temporary import temporary_folder
from bench.results.results import Results
from bench.results.schema import Row
from bench.results.session import Session, Workloads
from bench.results.traffic import Limit
from bench.text.progress import Progress
from bench.workers import inputs
from bench.workers.inputs import Inputs
from bench.workers.process import WorkerError
from bench.workers.selection import Selection
from columnar_nn.model.graph import Graph

ROUNDS = 5
"""Turns into which a cell's runs are divided."""

Record = Callable[[str, Mapping[str, Any]], None]
"""Told what was measured as soon as it was: a table of bench/results/schema.py, and a row of it."""


class Comparison:
    """One comparison in progress; `results` can be asked at any time, also after Ctrl-C."""

    def __init__(
        self,
        session: Session,
        experiment: Experiment,
        graph: Graph,
        dataset: Dataset,
        progress: Progress,
        record: Record = lambda table, fields: None,
        overrides: Overrides | None = None,
    ) -> None:
        """`overrides` are the tolerances that the user gave."""
        self._session = session
        self._recording = Recording(session, experiment.options, Workloads(graph, dataset))
        self._experiment = experiment
        self._overrides = overrides or Overrides()
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
            self._contenders = [
                Contender(selection, self._experiment, folder)
                for selection in self._experiment.selections
            ]
            evaluations = {
                name: self._evaluation(selection, folder)
                for name, selection in reference_selections(self._experiment.selections).items()
            }
            try:
                self._measure(folder, evaluations)
                self._complete = True
            finally:
                for contender in (*self._contenders, *evaluations.values()):
                    contender.kill()

    def results(self) -> Results:
        """All that is known by now."""
        rows = [
            row
            for contender in self._contenders
            for row in self._recording.all_of(contender.record(), contender.cells)
        ]
        return self._session.results(rows, self._complete, self._truth_row())

    def _evaluation(self, selection: Selection, folder: Path) -> Contender:
        """One that says what is right, and may be measured besides."""
        for contender in self._contenders:
            if contender.selection.label == selection.label:
                return contender
        return Contender(selection, self._experiment, folder)

    def _measure(self, folder: Path, evaluations: Mapping[str, Contender]) -> None:
        data = inputs.prepare(
            folder,
            self._graph,
            self._dataset,
            num_images(self._experiment),
            self._experiment.options.batch_size,
        )
        self._step("reference outputs", 0)
        for evaluation in evaluations.values():
            evaluation.start(data)
        self._truth = self._known_outputs(folder, data, evaluations)
        self._recording.truth = self._truth
        for evaluation in evaluations.values():
            if evaluation not in self._contenders:
                evaluation.finish()
        for contender in self._contenders:
            self._step(f"starting {contender.selection.label}")
            if contender not in evaluations.values():
                contender.start(data)
            self._write(self._recording.backend(contender.record()))
            for cell in contender.cells:
                self._step(f"checking {contender.selection.label} on {cell.samples}")
                contender.warm_up(cell, self._truth)
                self._write(self._recording.cell(contender.record(), cell))
            self._step(f"checking {contender.selection.label}")
            contender.check(self._truth)
            self._write(self._recording.backend(contender.record()))
        self._take_turns()
        for contender in self._contenders:
            contender.finish()

    def _known_outputs(
        self, folder: Path, data: Inputs, evaluations: Mapping[str, Contender]
    ) -> Truth | None:
        try:
            return known_outputs(folder, data, self._experiment, evaluations, self._overrides)
        except WorkerError as error:
            self._reference_failure = error.reason
            return None

    def _take_turns(self) -> None:
        limits = self._experiment.limits
        shuffler = random.Random(self._experiment.seed)
        self._turns, self._turns_started = 0, time.monotonic()
        for turns_left in range(ROUNDS, 0, -1):
            pending = [(c, cell) for c in self._contenders for cell in c.cells]
            shuffler.shuffle(pending)
            for contender, cell in pending:
                self._step(f"timing {contender.selection.label} on {cell.samples}")
                if not cell.finished(limits):
                    self._turn(contender, cell, turns_left)
        limit = self._experiment.traffic.limit
        if self._experiment.traffic.searched and limit is not None:
            self._search_rates(limit, shuffler)

    def _search_rates(self, limit: Limit, shuffler: random.Random) -> None:
        """Has every contender served at rates of its own, one of each in every round."""
        alone = {contender: contender.cells[0] for contender in self._contenders}
        searches = {c: RateSearch(limit, cell.times) for c, cell in alone.items()}
        while pending := [(c, s) for c, s in searches.items() if s.rate is not None]:
            shuffler.shuffle(pending)
            for contender, search in pending:
                assert search.rate is not None
                self._step(f"{contender.selection.label} at {search.rate:g} queries/s", 0)
                cell = alone[contender].at(search.rate)
                contender.cells.append(cell)
                if not cell.finished(self._experiment.limits):
                    self._turn(contender, cell, 1)
                search.tell(cell.times)

    def _turn(self, contender: Contender, cell: Cell, turns_left: int) -> None:
        turn = contender.turn(
            cell,
            turns_left,
            round=ROUNDS - turns_left,
            order=self._turns,
            start_s=time.monotonic() - self._turns_started,
        )
        record = contender.record()
        if turn is None:
            self._write(self._recording.cell(record, cell))
        else:
            self._write(self._recording.turn(record, cell, len(cell.turns) - 1))
        self._turns += 1

    def _write(self, rows: Iterable[tuple[str, Row]]) -> None:
        for table, row in rows:
            self._record(table, row)

    def _step(self, doing: str, done: int = 1) -> None:
        num_cells = len(self._experiment.samples) * len(self._experiment.traffic.arrivals)
        total = len(self._contenders) * (2 + num_cells * (1 + ROUNDS))
        self._progress(self._done, total, doing)
        self._done += done

    def _truth_row(self) -> dict[str, Any]:
        """The truth as a session's row has it."""
        if self._truth is None:
            return {"rows": 0, "failure": self._reference_failure}
        known = {**self._truth.context(), "failure": ""}
        del known["tolerances"]  # every cell has them
        return known
