"""What a comparison has measured, as rows of results: for its journal, and for the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bench.compare.cell import Cell
from bench.compare.experiment import Experiment
from bench.data.dataset import Dataset
from bench.results.result import BackendRecord
from bench.results.results import Results
from bench.results.schema import CELL, MACHINE, OBSERVATION, SESSION, SUBJECT, WORKLOAD
from bench.results.session import Session, Workloads
from bench.results.summary import CHECK, COLD_START, OFFLINE, START
from bench.verdict.status import MISREAD
from bench.workers.options import Options
from bench.workers.turn import Turn
from columnar_nn.model.graph import Graph

Rows = Iterator[tuple[str, dict[str, Any]]]


class Recording:
    """Makes the rows of one session of a comparison.

    `tolerance` is that of each output once it is known (bench/compare/truth.py).
    """

    def __init__(self, session_id: str, options: Options, workloads: Workloads) -> None:
        self._session_id = session_id
        self._options = options
        self._workloads = workloads
        self.tolerance: Mapping[str, Any] | None = None

    def backend(self, record: BackendRecord) -> Rows:
        """A backend as it is known by now, with the cells of its start and of its check."""
        subject = self._subject(record)
        yield SUBJECT.name, subject
        first = self._workloads.first_batch
        workload = self._workloads.row(START, first, first)
        cell = self._cell(
            subject,
            workload,
            status=record.status,
            reason=record.reason or None,
            log=record.log or None,
        )
        yield WORKLOAD.name, workload
        yield CELL.name, cell
        seconds = {part: getattr(record, f"{part}_s") for part in COLD_START}
        for part, value in {**seconds, "total": record.cold_start_s}.items():
            if value is not None:
                yield OBSERVATION.name, _observation(cell, "cold_start", [part], [value], "s")
        for part, size in (("start", record.start_rss_bytes), ("peak", record.peak_rss_bytes)):
            if size is not None:
                yield OBSERVATION.name, _observation(cell, "rss", [part], [float(size)], "byte")
        if record.checked:
            workload = self._workloads.row(CHECK, None, None)
            yield WORKLOAD.name, workload
            checked = {**record.checked, "reason": record.checked["reason"] or None}
            yield CELL.name, self._cell(subject, workload, **checked)

    def cell(self, record: BackendRecord, cell: Cell) -> Rows:
        """A cell as it is known by now, without its times."""
        workload, row = self._timed(record, cell)
        yield WORKLOAD.name, workload
        yield CELL.name, row

    def times(self, record: BackendRecord, cell: Cell) -> Rows:
        """All times of a cell, turn by turn."""
        for number in range(len(cell.turns)):
            yield from self.turn(record, cell, number)

    def turn(self, record: BackendRecord, cell: Cell, number: int) -> Rows:
        """The times of one of a cell's turns, all of them and those of each phase."""
        _, row = self._timed(record, cell)
        turn = cell.turns[number]
        index = sum(len(before.times) for before in cell.turns[:number])
        known = {
            "index": index,
            "round": turn.round,
            "order": turn.order,
            "start_s": turn.start_s,
            "disturbance": turn.disturbance and _tree(turn),
        }
        times = _observation(row, "time", [], list(turn.times), "s")
        yield OBSERVATION.name, {**times, **known, "switches": list(turn.switches)}
        for phase in turn.phases[0]:
            seconds = [run[phase] for run in turn.phases]
            block = _observation(row, "phase", [phase], seconds, "s")
            yield OBSERVATION.name, {**block, **known, "disturbance": None}

    def _timed(self, record: BackendRecord, cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
        subject = self._subject(record)
        workload = self._workloads.row(OFFLINE, cell.samples, cell.batch_size)
        return workload, self._cell(subject, workload, **cell.outcome())

    def _subject(self, record: BackendRecord) -> dict[str, Any]:
        options = self._options.on_threads(record.threads)
        return SUBJECT.row(
            session_id=self._session_id,
            backend=record.backend,
            configuration=record.configuration,
            processes=1,
            threads=record.threads,
            options={"algorithm": options.algorithm},
            description=record.description,
            cpus=options.cpus,
            precision=record.precision,
            layout=record.layout,
            algorithm=record.algorithm,
            denormals=record.denormals,
            versions=record.versions,
            notes=record.notes,
        )

    def _cell(
        self, subject: Mapping[str, Any], workload: Mapping[str, Any], **known: Any
    ) -> dict[str, Any]:
        return CELL.row(
            session_id=self._session_id,
            subject=subject["subject"],
            workload=workload["workload"],
            tolerance=self.tolerance,
            **known,
        )


def misread(
    session: Session, experiment: Experiment, graph: Graph, dataset: Dataset, reason: str
) -> Results:
    """The results of a comparison that was not run, since its network was misread."""
    recording = Recording(session.id, experiment.options, Workloads(graph, dataset))

    def rows() -> Rows:
        yield MACHINE.name, session.machine
        yield SESSION.name, session.ended(complete=True)
        for selection in experiment.selections:
            yield from recording.backend(
                BackendRecord(
                    selection.backend,
                    selection.configuration,
                    experiment.options.on_threads(selection.threads).threads,
                    MISREAD,
                    reason,
                    description=selection.description,
                )
            )

    return Results.of(rows())


def _observation(
    cell: Mapping[str, Any], metric: str, part: list[str], values: list[float], unit: str
) -> dict[str, Any]:
    return OBSERVATION.row(
        session_id=cell["session_id"],
        cell=cell["cell"],
        metric=metric,
        part=part,
        index=0,
        value=values,
        unit=unit,
    )


def _tree(turn: Turn) -> dict[str, Any]:
    assert turn.disturbance is not None
    return {**asdict(turn.disturbance), "run_queue_s": list(turn.disturbance.run_queue_s)}
