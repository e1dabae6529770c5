"""One engine in a query study: its worker, its cells, and how they end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.queries import registry
from adapters.queries.query import IMAGES, Query
from bench.compare.budget import runs_of_a_turn, too_long
from bench.compare.cell import ENDED_BEFORE, Cell
from bench.compare.experiment import Experiment
from bench.machine.disturbance import Snapshot
from bench.query_study.data import CLASSES
from bench.results.result import BackendRecord
from bench.results.schema import QUERY, RELATIONAL
from bench.text.figures import about
from bench.verdict.status import FAILED, NOT_RUN, PASSED, worst
from bench.workers.held import HeldWorker
from bench.workers.process import WorkerError
from bench.workers.selection import Selection
from bench.workers.session import PRIMING_LIMIT_S
from bench.workers.turn import Turn

_SESSION = "bench.query_study.session:QueryStudySession"


@dataclass(frozen=True)
class Answer:
    """The right result over so many images: names of columns, and rows in their order."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def difference(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
        """In what another result differs, in words; empty if in nothing."""
        if list(names) != list(self.names):
            return f"its columns are {', '.join(names)}, not {', '.join(self.names)}"
        if len(rows) != len(self.rows):
            return f"{len(rows):,} rows instead of {len(self.rows):,}"
        for number, (found, right) in enumerate(zip(rows, self.rows, strict=True), 1):
            if list(found) != list(right):
                return f"row {number:,} is {_row(found)} instead of {_row(right)}"
        return ""


def _row(values: Sequence[Any]) -> str:
    return f"({', '.join(map(str, values))})"


@dataclass
class QueryCell(Cell):
    """A query over so many images: its rows are right, or it has ended before it was timed."""

    compared_rows: int | None = None

    def ending(self) -> tuple[str, str]:
        """Its status and the reason, by now."""
        if self.status:
            return self.status, self.reason
        return (PASSED, "") if self.times else (NOT_RUN, ENDED_BEFORE)

    def outcome(self) -> dict[str, Any]:
        """How it ended as far as is known, as a row of the table cell has it."""
        return {**super().outcome(), "parity_rows": self.compared_rows}


class Entrant:
    """An engine from cold start to its last run, on one query.

    No method raises for what the engine does wrong: that becomes the status of its cells. One
    whose process ends, has ended for all of them.
    """

    def __init__(
        self, selection: Selection, query: Query, experiment: Experiment, folder: Path
    ) -> None:
        self.selection = selection
        self._query = query
        self._networks = registry.load(selection.backend).runs_networks
        self._options = experiment.options
        self._limits = experiment.limits
        self.cells = [
            QueryCell(count, experiment.options.batch_size, scenario=self._scenario)
            for count in experiment.samples
        ]
        self._worker = HeldWorker(experiment.options, folder, _SESSION)
        self._cold_start: dict[str, Any] = {}
        self._description: dict[str, Any] = {}

    @property
    def _scenario(self) -> str:
        return QUERY if self._networks else RELATIONAL

    def start(self, tables: Mapping[str, str]) -> None:
        """Starts the worker, which runs the query once over the fewest images, each part timed."""
        first = self.cells[0].samples
        try:
            imported = self._worker.ask("import_framework", backend=self.selection.backend)
            built = self._open(first, tables)
            ran = self._worker.ask("run", samples=first)
        except WorkerError as error:
            self._end_all(error)
            return
        self._cold_start = {
            "process_s": imported["process_seconds"],
            "import_s": imported["seconds"],
            "start_rss_bytes": imported["start_rss_bytes"],
            "build_s": built["seconds"],
            "first_inference_s": ran["times"][0],
            "cold_start_s": ran["since_start"],
        }

    def warm_up(self, cell: QueryCell, tables: Mapping[str, str], answer: Answer) -> None:
        """Runs the cell untimed and holds its rows against the right ones.

        Unless a run would take longer than the budget.
        """
        if cell.status:
            return
        known = {c.samples: c.calibrated for c in self.cells if c.calibrated is not None}
        cell.predicted = too_long(known, cell.samples, self._limits.budget)
        if cell.predicted is not None:
            cell.end(NOT_RUN, f"one run would take about {about(cell.predicted)}")
            return
        try:
            if cell is not self.cells[0]:
                self._open(cell.samples, tables)
            reply = self._worker.ask("run", samples=cell.samples, prime=True)
        except WorkerError as error:
            self._end(cell, error)
            return
        cell.calibrated = min(reply["times"])
        cell.compared_rows = len(answer.rows)
        if difference := answer.difference(reply["names"], reply["rows"]):
            cell.end(FAILED, difference)
        elif cell.calibrated > self._limits.budget:
            cell.predicted = cell.calibrated
            cell.end(NOT_RUN, f"one run takes about {about(cell.calibrated)}")

    def turn(self, cell: QueryCell, answer: Answer, turns_left: int, **place: Any) -> bool:
        """Times the cell's share of its runs in one of `turns_left` turns; whether that was done.

        `place` is where it stands among all turns, as Turn has it.
        """
        assert cell.calibrated is not None, "a cell is warmed up before its first turn"
        before = Snapshot.take(self._worker.pids, self._options.cpus)
        try:
            reply = self._worker.ask(
                "run",
                samples=cell.samples,
                **runs_of_a_turn(cell.times, cell.calibrated, turns_left, self._limits),
                prime=cell.calibrated < PRIMING_LIMIT_S,
            )
        except WorkerError as error:
            self._end(cell, error)
            return False
        after = Snapshot.take(self._worker.pids, self._options.cpus)
        disturbance = before.until(after) if before and after else None
        cell.turns.append(
            Turn(reply["times"], reply["phases"], reply["switches"], disturbance, **place)
        )
        if difference := answer.difference(reply["names"], reply["rows"]):
            cell.end(FAILED, difference)
        return True

    def finish(self) -> None:
        """Asks what was run, and ends it."""
        if self._worker.running:
            try:
                self._description = self._worker.ask("describe")
            except WorkerError as error:
                self._end_all(error)
            self._worker.finish()

    def kill(self) -> None:
        """Ends the worker at once, whatever it is doing."""
        self._worker.kill()

    def record(self) -> BackendRecord:
        """The engine as it was run; its status is the worst of its cells'."""
        endings = [cell.ending() for cell in self.cells]
        status = worst(status for status, _ in endings)
        told = self._description
        return BackendRecord(
            backend=self.selection.backend,
            configuration=self.selection.configuration,
            threads=self._options.threads,
            status=status,
            reason=next(reason for known, reason in endings if known == status),
            peak_rss_bytes=self._worker.peak_rss_bytes or None,
            description=self.selection.description,
            versions=told.get("versions", {}),
            **{name: told.get(name, "") for name in _FACTS},
            notes=tuple(told.get("notes", ())),
            log=self._worker.log,
            **self._cold_start,
        )

    def _open(self, samples: int, tables: Mapping[str, str]) -> dict[str, Any]:
        own = {name: tables[name] for name in self._query.tables}
        if not self._networks:
            own[IMAGES] = tables[CLASSES]
        return self._worker.ask(
            "open",
            query=dataclasses.asdict(self._query),
            tables=own,
            samples=samples,
            configuration=self.selection.configuration,
            threads=self._options.threads,
            batch_size=self._options.batch_size,
            algorithm=self._options.algorithm,
        )

    def _end(self, cell: QueryCell, error: WorkerError) -> None:
        cell.end(error.status, error.reason)
        if error.fatal:
            self._end_all(error)

    def _end_all(self, error: WorkerError) -> None:
        for cell in self.cells:
            if not cell.finished(self._limits):
                cell.end(error.status, error.reason)
        self.kill()


_FACTS = ("precision", "layout", "algorithm", "denormals")
