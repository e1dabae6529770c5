"""Results of servers that were simulated, and so have latencies that theory knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from results import examples

from bench.results.results import Results
from bench.results.schema import (
    CELL,
    MACHINE,
    OBSERVATION,
    SERVER,
    SESSION,
    SINGLE_STREAM,
    SUBJECT,
    WORKLOAD,
)
from bench.results.traffic import Traffic
from bench.workers.open_loop import arrivals, serve

SERVICE_S = {"columnar": 0.002, "onnxruntime": 0.005}
"""What each engine takes for a query, always."""


@dataclass
class _Clock:
    now: float = 0.0

    def wait(self, moment: float) -> None:
        self.now = max(self.now, moment)


def latencies(service_s: float, rate: float, queries: int, seed: int) -> list[float]:
    """Of a server that takes the same time for every query."""
    clock = _Clock()

    def query(_: int) -> None:
        clock.now += service_s

    return serve(query, arrivals(rate, queries, seed), lambda: clock.now, clock.wait)[0]


def session(
    traffic: Traffic,
    rates: Sequence[float],
    *,
    name: str = "a" * 16,
    queries: int = 3000,
    seed: int = 1,
    factor: float = 1.0,
) -> Results:
    """A session of both engines, each query taking `factor` times as long."""
    settings = {**examples.SETTINGS, "samples": [1], **traffic.settings()}
    machine = examples.machine(name)
    rows = [
        (MACHINE.name, machine),
        (
            SESSION.name,
            SESSION.row(
                session_id=name,
                machine_id=machine["machine_id"],
                command="compare",
                started="2026-01-02T03:04:05+0000",
                complete=True,
                versions={"numpy": "2.0"},
                settings=settings,
                warnings=[],
            ),
        ),
    ]
    for backend, service in SERVICE_S.items():
        subject = SUBJECT.row(
            session_id=name,
            backend=backend,
            configuration="default",
            processes=1,
            threads=1,
            options={},
        )
        rows.append((SUBJECT.name, subject))
        taken = service * factor
        measured = [(SINGLE_STREAM, None, [taken] * queries)]
        measured += [
            (SERVER, rate, latencies(taken, rate, queries, seed))  # type: ignore[misc]
            for rate in rates
            if rate * taken < 1
        ]
        for scenario, rate, values in measured:
            workload = WORKLOAD.row(
                model_name="tiny",
                data_name="simulated",
                samples=1,
                batch_size=1,
                scenario=scenario,
                rate=rate,
            )
            cell = CELL.row(
                session_id=name,
                subject=subject["subject"],
                workload=workload["workload"],
                status="PASSED",
            )
            observed = OBSERVATION.row(
                session_id=name,
                cell=cell["cell"],
                metric="latency",
                part=[],
                index=0,
                value=values,
                unit="s",
            )
            rows += [
                (WORKLOAD.name, workload),
                (CELL.name, cell),
                (OBSERVATION.name, observed),
            ]
    return Results.of(rows)
