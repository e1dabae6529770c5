"""Sessions as a command that measures would have written them, with chosen figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.results import document
from bench.results.results import Results
from bench.results.schema import CELL, MACHINE, OBSERVATION, SESSION, SUBJECT, WORKLOAD

Times = Mapping[tuple[str, int], Sequence[float]]
"""Seconds of the runs of each (backend, samples); none of a cell that has no run."""


def session(
    name: str,
    times: Times,
    *,
    started: str = "2026-01-01T00:00:00+0000",
    machine: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    model_sha256: str = "abc",
    status: Mapping[tuple[str, int], str] | None = None,
    complete: bool = True,
) -> Results:
    """One session of compare."""
    facts = {"model": "17", "cores": 2, "architecture": "x86_64", **(machine or {})}
    found = MACHINE.row(session_id=name, **facts)
    rows: list[tuple[str, Any]] = [("machine", found)]
    rows.append(
        (
            "session",
            SESSION.row(
                session_id=name,
                command="compare",
                machine_id=found["machine_id"],
                started=started,
                complete=complete,
                versions={"python": "CPython 3.11"},
                settings={"runs": 5},
                warnings=[],
            ),
        )
    )
    for (backend, samples), seconds in times.items():
        subject = SUBJECT.row(
            session_id=name,
            backend=backend,
            configuration="default",
            processes=1,
            threads=1,
            options={},
            versions=versions or {backend: "1.0"},
        )
        workload = WORKLOAD.row(
            model_name="plain9",
            model_sha256=model_sha256,
            samples=samples,
            batch_size=samples,
            scenario="offline",
        )
        cell = CELL.row(
            session_id=name,
            subject=subject["subject"],
            workload=workload["workload"],
            status=(status or {}).get((backend, samples), "PASSED"),
        )
        rows += [("subject", subject), ("workload", workload), ("cell", cell)]
        if seconds:
            observed = OBSERVATION.row(
                session_id=name,
                cell=cell["cell"],
                metric="time",
                part=[],
                index=0,
                value=list(seconds),
                unit="s",
            )
            rows.append(("observation", observed))
    return Results.of(rows)


def side(sessions: Sequence[Results]) -> Results:
    """Sessions together."""
    return Results.of(row for one in sessions for row in one)


def folder(path: Path, sessions: Sequence[Results]) -> Path:
    """A folder with a file for each session."""
    path.mkdir()
    for number, one in enumerate(sessions):
        (path / f"{number}.json").write_bytes(document.to_json(one))
    return path
