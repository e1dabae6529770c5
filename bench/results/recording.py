"""Rows of one session, made as they become known and kept until they are taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.results.results import Results
from bench.results.schema import CELL, METRICS, OBSERVATION, START, SUBJECT, WORKLOAD, Row
from bench.results.session import Session, WorkloadRows
from bench.workers.options import Options
from bench.workers.selection import Selection


class Recorder:
    """Makes the rows of a session, of workloads such as those of one network and data set."""

    def __init__(self, session: Session, workloads: WorkloadRows) -> None:
        self._session = session
        self._workloads = workloads
        self._rows: list[tuple[str, Row]] = []

    def subject(self, selection: Selection, options: Options, /, **found: Any) -> Row:
        """A backend as it was asked for, and what it turned out to be."""
        own = options.on_threads(selection.threads)
        return self._add(
            SUBJECT.name,
            SUBJECT.row(
                **{
                    "session_id": self._session.id,
                    "backend": selection.backend,
                    "configuration": selection.configuration,
                    "processes": own.processes,
                    "threads": own.threads,
                    "options": own.asked,
                    "description": selection.description,
                    "cpus": own.cpus,
                    **found,
                }
            ),
        )

    def cell(
        self,
        subject: Row,
        scenario: str,
        samples: int | None,
        batch_size: int | None,
        rate: float | None = None,
        **known: Any,
    ) -> Row:
        """The subject on so many images in a scenario, at a rate if it has one; how it ended."""
        workload = self._workloads.row(scenario, samples, batch_size, rate)
        self._add(WORKLOAD.name, workload)
        row = CELL.row(
            session_id=self._session.id,
            subject=subject["subject"],
            workload=workload["workload"],
            **{**known, "reason": known.get("reason") or None},
        )
        return self._add(CELL.name, row)

    def start(self, subject: Row, batch_size: int, **known: Any) -> Row:
        """The subject's process, made for batches of so many images, from its start to its end."""
        return self.cell(subject, START, self._workloads.first_batch, batch_size, **known)

    def observe(
        self,
        cell: Row,
        metric: str,
        values: Iterable[float],
        part: Sequence[str] = (),
        *,
        unit: str = "",
        **known: Any,
    ) -> None:
        """Numbers of a metric (METRICS) of a cell, consecutive ones from `index` on, or 0."""
        row = OBSERVATION.row(
            **{
                "session_id": self._session.id,
                "cell": cell["cell"],
                "metric": metric,
                "part": part,
                "index": 0,
                "value": [float(value) for value in values],
                "unit": METRICS[metric].unit or unit,
                **known,
            }
        )
        self._add(OBSERVATION.name, row)

    def take(self) -> list[tuple[str, Row]]:
        """The rows made since the last time."""
        taken, self._rows = self._rows, []
        return taken

    def results(self, complete: bool) -> Results:
        """The session as it ends now, with the rows that were not taken."""
        return self._session.results(self.take(), complete)

    def _add(self, table: str, row: dict[str, Any]) -> Row:
        self._rows.append((table, row))
        return row
