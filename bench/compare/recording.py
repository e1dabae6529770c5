"""What a comparison has measured, as rows of results: for its journal, and for the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from bench.compare.cell import Cell
from bench.compare.experiment import Experiment
from bench.compare.truth import Truth
from bench.results.recording import Recorder
from bench.results.result import BackendRecord
from bench.results.results import Results
from bench.results.schema import CELL, CHECK, LATENCIES, OBSERVATION, Row
from bench.results.session import Session, WorkloadRows, Workloads
from bench.results.summary import COLD_START
from bench.verdict.status import MISREAD
from bench.workers.options import Options
from bench.workers.selection import Selection

_FOUND = ("description", "precision", "layout", "algorithm", "denormals", "versions", "notes")


class Recording:
    """Records one comparison; each method returns the rows that it made.

    `truth` has the tolerance of each output once it is known.
    """

    def __init__(self, session: Session, options: Options, workloads: WorkloadRows) -> None:
        self._recorder = Recorder(session, workloads)
        self._options = options
        self.truth: Truth | None = None

    def backend(self, record: BackendRecord) -> list[tuple[str, Row]]:
        """A backend as it is known by now, with the cells of its start and of its check."""
        recorder, batch_size = self._recorder, self._options.batch_size
        subject = self._subject(record)
        start = recorder.start(
            *(subject, batch_size),
            status=record.status,
            reason=record.reason,
            tolerance=self._tolerance(record),
            log=record.log or None,
        )
        seconds = {part: getattr(record, f"{part}_s") for part in COLD_START}
        for part, value in {**seconds, "total": record.cold_start_s}.items():
            if value is not None:
                recorder.observe(start, "cold_start", [value], [part])
        for part, size in (("start", record.start_rss_bytes), ("peak", record.peak_rss_bytes)):
            if size is not None:
                recorder.observe(start, "rss", [size], [part])
        if record.checked:
            known = {"tolerance": self._tolerance(record), **record.checked}
            recorder.cell(subject, CHECK, None, batch_size, **known)
        return recorder.take()

    def cell(self, record: BackendRecord, cell: Cell) -> list[tuple[str, Row]]:
        """A cell as it is known by now, without its times."""
        self._cell(record, cell)
        return self._recorder.take()

    def turn(self, record: BackendRecord, cell: Cell, number: int) -> list[tuple[str, Row]]:
        """The times of one of a cell's turns, all of them and those of each phase.

        And the cell, of which more is known now; backend and workload are those of before.
        """
        row = self._cell(record, cell)
        turn = cell.turns[number]
        place: dict[str, Any] = {
            "index": sum(len(before.times) for before in cell.turns[:number]),
            "round": turn.round,
            "order": turn.order,
            "start_s": turn.start_s,
        }
        metric = "latency" if cell.scenario in LATENCIES else "time"
        taken = turn.disturbance and asdict(turn.disturbance)
        self._recorder.observe(
            row, metric, turn.times, switches=turn.switches or None, disturbance=taken, **place
        )
        for phase in turn.phases[0]:
            seconds = [run[phase] for run in turn.phases]
            self._recorder.observe(row, "phase", seconds, [phase], **place)
        for process, share in enumerate(map(asdict, turn.shares)):
            self._recorder.observe(row, "share", share["seconds"], [str(process)], **place)
            for memory in ("rss", "pss"):
                if (size := share[f"{memory}_bytes"]) is not None:
                    known = {**place, "index": number}
                    self._recorder.observe(row, f"share_{memory}", [size], [str(process)], **known)
        told = (CELL.name, OBSERVATION.name)
        return [(table, row) for table, row in self._recorder.take() if table in told]

    def all_of(self, record: BackendRecord, cells: Iterable[Cell]) -> list[tuple[str, Row]]:
        """A backend with all that was measured of its cells."""
        rows = self.backend(record)
        for cell in cells:
            rows += self.cell(record, cell)
            for number in range(len(cell.turns)):
                rows += self.turn(record, cell, number)
        return rows

    def _cell(self, record: BackendRecord, cell: Cell) -> Row:
        return self._recorder.cell(
            *(self._subject(record), cell.scenario, cell.samples, cell.batch_size),
            rate=cell.rate,
            tolerance=self._tolerance(record),
            **cell.outcome(),
        )

    def _tolerance(self, record: BackendRecord) -> Mapping[str, Any] | None:
        if self.truth is None:
            return None
        return self.truth.tolerance_of(self.truth.judged_as(record.precision))

    def _subject(self, record: BackendRecord) -> Row:
        selection = Selection(record.backend, record.configuration, threads=record.threads)
        found = {name: getattr(record, name) for name in _FOUND}
        return self._recorder.subject(selection, self._options, **found)


def misread(session: Session, experiment: Experiment, workloads: Workloads, reason: str) -> Results:
    """The results of a comparison that was not run, since its network was misread."""
    recorder, options = Recorder(session, workloads), experiment.options
    for selection in experiment.selections:
        subject = recorder.subject(selection, options)
        recorder.start(subject, options.batch_size, status=MISREAD, reason=reason)
    return recorder.results(complete=True)
