"""The study: files are written, every engine started and checked, then all are timed in turns.

As in a comparison (bench/compare/comparison.py) cells of all engines are interleaved in random
order, in several rounds, and only the worker that is measured runs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adapters.queries.query import IMAGES, Query
from bench.compare.comparison import ROUNDS, Record
from bench.compare.experiment import Experiment
from bench.compare.recording import Recording
from bench.data.dataset import Dataset
from bench.files.temporary import temporary_folder
from bench.query_study import data
from bench.query_study.entrant import Answer, Entrant, QueryCell
from bench.query_study.workloads import QueryWorkloads
from bench.results.results import Results
from bench.results.schema import Row
from bench.results.session import Session
from bench.text.progress import Progress
from bench.workers import inputs
from bench.workers.held import HeldWorker
from bench.workers.options import Options
from bench.workers.process import WorkerError
from bench.workers.selection import select_one
from columnar_nn.exec.executable import prepare
from columnar_nn.model.graph import Graph
from columnar_nn.queries.query import plan_query

_REFERENCE = "reference:float64"
_PATIENCE_S = 1.0
"""That the reference may take for an image: some hundred times what it needs on a quiet machine."""


class QueryStudy:
    """One query on every engine; `results` can be asked at any time, also after Ctrl-C.

    The right rows are those that the columnar engine's relational operators make of the classes of
    the float64 reference; `networks` has the graphs of the query's, by name.
    """

    def __init__(
        self,
        session: Session,
        experiment: Experiment,
        query: Query,
        networks: Mapping[str, Graph],
        dataset: Dataset,
        progress: Progress,
        record: Record = lambda table, fields: None,
    ) -> None:
        self._session = session
        self._experiment = experiment
        self._query = query
        self._networks = networks
        self._dataset = dataset
        self._progress = progress
        self._record = record
        workloads = QueryWorkloads(query, list(networks.values()), dataset, experiment.samples[0])
        self._recording = Recording(session, experiment.options, workloads)
        self._entrants: list[Entrant] = []
        self._answers: dict[int, Answer] = {}
        self._failure = "it was interrupted before the right rows were known"
        self._complete = False
        self._done = 0

    def run(self) -> None:
        """Does all of it. Whatever ends it, KeyboardInterrupt too, no worker is left behind.

        Nothing is measured if the reference does not give the classes.
        """
        with temporary_folder() as folder:
            self._entrants = [
                Entrant(selection, self._query, self._experiment, folder)
                for selection in self._experiment.selections
            ]
            try:
                self._measure(folder)
                self._complete = True
            finally:
                for entrant in self._entrants:
                    entrant.kill()

    def results(self) -> Results:
        """All that is known by now."""
        rows = [
            row
            for entrant in self._entrants
            for row in self._recording.all_of(entrant.record(), entrant.cells)
        ]
        return self._session.results(rows, self._complete, self._truth_row())

    def _measure(self, folder: Path) -> None:
        try:
            files = self._prepared(folder)
        except WorkerError as error:
            self._failure = f"{_REFERENCE}: {error.status} {error.reason}"
            return
        for entrant in self._entrants:
            self._step(f"starting {entrant.selection.label}")
            entrant.start(files[entrant.cells[0].samples])
            self._write(self._recording.backend(entrant.record()))
            for cell in entrant.cells:
                self._step(f"checking {entrant.selection.label} on {cell.samples}")
                entrant.warm_up(cell, files[cell.samples], self._answers[cell.samples])
                self._write(self._recording.cell(entrant.record(), cell))
        self._take_turns()
        for entrant in self._entrants:
            entrant.finish()

    def _prepared(self, folder: Path) -> Mapping[int, Mapping[str, str]]:
        """The files for each number of images, by table; the right rows are known then."""
        samples = self._experiment.samples
        count = min(self._dataset.num_rows, samples[-1])
        known: dict[str, np.ndarray] = {}
        for name, graph in self._networks.items():
            self._step(f"reference classes of {name}", 0)
            known[name] = classes(graph, self._dataset, count, self._experiment.options, folder)
        files = {}
        for number in samples:
            self._step(f"writing {number:,} rows", 0)
            place = folder / f"{number}"
            place.mkdir()
            files[number] = data.write(
                self._dataset, number, self._experiment.options.threads, known, place
            )
            self._answers[number] = answer(self._query, files[number])
        return files

    def _take_turns(self) -> None:
        shuffler = random.Random(self._experiment.seed)
        number, started = 0, time.monotonic()
        for turns_left in range(ROUNDS, 0, -1):
            pending = [(entrant, cell) for entrant in self._entrants for cell in entrant.cells]
            shuffler.shuffle(pending)
            for entrant, cell in pending:
                self._step(f"timing {entrant.selection.label} on {cell.samples}")
                if cell.finished(self._experiment.limits):
                    continue
                done = entrant.turn(
                    cell,
                    self._answers[cell.samples],
                    turns_left,
                    round=ROUNDS - turns_left,
                    order=number,
                    start_s=time.monotonic() - started,
                )
                number += 1
                self._write(self._rows(entrant, cell, done))

    def _rows(self, entrant: Entrant, cell: QueryCell, done: bool) -> Sequence[tuple[str, Row]]:
        record = entrant.record()
        if done:
            return self._recording.turn(record, cell, len(cell.turns) - 1)
        return self._recording.cell(record, cell)

    def _write(self, rows: Iterable[tuple[str, Row]]) -> None:
        for table, row in rows:
            self._record(table, row)

    def _step(self, doing: str, done: int = 1) -> None:
        total = len(self._entrants) * (1 + len(self._experiment.samples) * (1 + ROUNDS))
        self._progress(self._done, total, doing)
        self._done += done

    def _truth_row(self) -> dict[str, Any]:
        """The right rows over the most images, as a session's row has them."""
        known = self._answers.get(self._experiment.samples[-1])
        if known is None:
            return {"rows": 0, "failure": self._failure}
        rows = [list(row) for row in known.rows]
        return {"rows": len(rows), "failure": "", "names": list(known.names), "result": rows}


def classes(
    graph: Graph, dataset: Dataset, count: int, options: Options, folder: Path
) -> np.ndarray:
    """What the reference takes each of the first `count` images for; raises WorkerError."""
    place = folder / graph.name
    place.mkdir()
    given = inputs.prepare(place, graph, dataset, count, options.batch_size)
    outputs = place / "outputs.arrow"
    patient = replace(options, timeout=max(options.timeout, count * _PATIENCE_S))
    with HeldWorker(patient, place) as worker:
        worker.build(select_one(_REFERENCE), given.graph, options.batch_size)
        size = min(count, options.batch_size)
        worker.ask(
            "run", images=str(given.images), samples=count, batch_size=size, outputs=str(outputs)
        )
    logits = inputs.outputs_of(outputs)[graph.outputs[0].name]
    return np.asarray(np.argmax(logits.reshape(count, -1), axis=1), np.int64)


def answer(query: Query, tables: Mapping[str, str]) -> Answer:
    """The right rows of a query over files, of which IMAGES has classes in place of images."""
    own = {name: tables[name] for name in query.tables} | {IMAGES: tables[data.CLASSES]}
    with prepare(plan_query(query.relational, own, {})) as executable:
        columns = executable.run().to_table().to_pydict()
    return Answer(list(columns), list(zip(*columns.values(), strict=True)))
