"""Results made by hand: one session, two backends, times in two turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.results.results import Results
from bench.results.schema import CELL, MACHINE, OBSERVATION, SESSION, SUBJECT, WORKLOAD

Rows = Iterator[tuple[str, dict[str, Any]]]

TURNS = {"columnar": [[0.25, 0.5], [0.125]], "pytorch": [[1.0, 2.0], [3.0]]}
"""Seconds of each backend's runs, turn by turn."""

SETTINGS = {
    "samples": [8],
    "batch_size": 4,
    "threads": 1,
    "cpus": [0],
    "runs": 3,
    "min_time_s": 0.0,
    "budget_s": 2.0,
    "algorithm": "auto",
    "seed": 5,
}


def machine(session_id: str = "a" * 16, **facts: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"vendor": "AMD", "cores": 2, "brand": "A CPU", "memory_bytes": 2**34}
    return MACHINE.row(session_id=session_id, **known | facts)


def rows(
    session_id: str = "a" * 16,
    turns: dict[str, list[list[float]]] = TURNS,
    status: str = "PASSED",
    session: dict[str, Any] | None = None,
    **facts: Any,
) -> Rows:
    """A session on a machine with these facts, whose pytorch ended as `status` says."""
    found = machine(session_id, **facts)
    yield MACHINE.name, found
    yield (
        SESSION.name,
        SESSION.row(
            session_id=session_id,
            machine_id=found["machine_id"],
            **{
                "command": "compare",
                "started": "2026-01-02T03:04:05+0000",
                "complete": True,
                "versions": {"numpy": "2.0"},
                "settings": SETTINGS,
                "warnings": [],
                **(session or {}),
            },
        ),
    )
    for backend, times in turns.items():
        ending = status if backend == "pytorch" else "PASSED"
        yield from _backend(session_id, backend, times, ending)


def _backend(session_id: str, backend: str, turns: list[list[float]], status: str) -> Rows:
    subject = SUBJECT.row(
        session_id=session_id,
        backend=backend,
        configuration="default",
        processes=1,
        threads=1,
        options={},
        notes=["as it comes"],
    )
    yield SUBJECT.name, subject
    for scenario, samples in (("start", 1), ("offline", 8)):
        workload = WORKLOAD.row(
            model_name="tiny",
            model_sha256="0" * 64,
            parameters=10,
            data_fingerprint="1" * 64,
            samples=samples,
            batch_size=min(samples, 4),
            scenario=scenario,
        )
        yield WORKLOAD.name, workload
        cell = CELL.row(
            session_id=session_id,
            subject=subject["subject"],
            workload=workload["workload"],
            status=status,
            max_abs=0.5,
            parity_rows=8 if scenario == "offline" else None,
        )
        yield CELL.name, cell
        if scenario == "offline":
            yield from _times(cell, turns)


def _times(cell: dict[str, Any], turns: list[list[float]]) -> Rows:
    index = 0
    for order, values in enumerate(turns):
        yield (
            OBSERVATION.name,
            OBSERVATION.row(
                session_id=cell["session_id"],
                cell=cell["cell"],
                metric="time",
                part=[],
                index=index,
                value=values,
                unit="s",
                round=order,
                order=order,
                start_s=float(order),
                switches=[0] * len(values),
                disturbance={
                    "wall_s": 9.0,
                    "steal_s": 0.0,
                    "others_s": 0.5,
                    "run_queue_s": [0.25],
                    "involuntary_switches": 1,
                },
            ),
        )
        index += len(values)


def results(*arguments: Any, **changes: Any) -> Results:
    return Results.of(rows(*arguments, **changes))
