"""Comparisons and models as rows of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.cluster.compare import JVM, Comparison, Way
from bench.cluster.job import Outcome
from bench.cluster.model import Model, Scale
from bench.cluster.session import Opened
from bench.results.recording import Recorder
from bench.results.results import Results
from bench.results.schema import CELL, CLUSTER, SUBJECT, WORKLOAD, Row
from bench.results.session import Session
from bench.verdict.status import FAILED, NOT_RUN, PASSED
from bench.workers.options import Options
from bench.workers.selection import Selection
from columnar_nn.integrations.batches import MAX_ROWS

BACKEND = "columnar"


def record(comparison: Comparison, master: str, recorder: Recorder) -> None:
    """Adds a cell a way, with the wall time and CPU time of each of its runs."""
    for way in comparison.ways:
        cell = _cell(way, comparison, master, recorder)
        recorder.observe(cell, "time", [turn.seconds for turn in way.turns])
        for part in way.turns[0].cpu if way.turns else ():
            recorder.observe(cell, "cpu", [turn.cpu[part] for turn in way.turns], part.split())


def _cell(way: Way, comparison: Comparison, master: str, recorder: Recorder) -> Row:
    options: dict[str, object] = {"algorithm": "auto"}
    detail = None
    processes = 1
    if way.splits is not None:
        options |= {"master": master, "splits": way.splits}
        processes = comparison.cores
        detail = {
            "splits": way.splits,
            "session_s": comparison.session_s,
            "prepare_s": way.prepare_s,
            "final_s": comparison.final_s,
        }
    configuration = "alone" if way.splits is None else "spark"
    selection = Selection(BACKEND, configuration, way.name)
    subject = recorder.subject(
        selection, Options((), 0.0), processes=processes, threads=1, options=options, cpus=None
    )
    reason = f"{way.differing:,} rows differ from the engine alone" if way.differing else None
    status = FAILED if way.differing else PASSED
    return recorder.cell(
        subject,
        CLUSTER,
        comparison.images,
        MAX_ROWS,
        status=status,
        reason=reason,
        parity_rows=comparison.images,
        outside=way.differing,
        detail=detail,
    )


@dataclass(frozen=True)
class Read:
    """What a run has read, as a workload names it."""

    name: str
    num_rows: int
    fingerprint: None = None
    split: None = None


def record_run(outcome: Outcome, opened: Opened, master: str, recorder: Recorder) -> None:
    """Adds one cell of one run: its wall time, and what it cost, if the engine tells."""
    costs = outcome.costs
    subject = recorder.subject(
        Selection(BACKEND, opened.engine, f"{opened.engine} {master}".strip()),
        Options((), 0.0),
        processes=opened.cores,
        threads=1,
        options={"algorithm": "auto", "master": master},
        cpus=None,
    )
    cell = recorder.cell(
        subject,
        CLUSTER,
        outcome.rows,
        MAX_ROWS,
        status=FAILED if outcome.bad else PASSED,
        reason=f"{outcome.bad:,} row(s) without an image" if outcome.bad else None,
        accuracy=outcome.accuracy,
        detail={
            "session_s": opened.seconds,
            **({} if costs is None else {"splits": costs.splits, **vars(costs.tasks)}),
        },
    )
    recorder.observe(cell, "time", [outcome.seconds])
    if costs is not None:
        for part, seconds in {JVM: costs.tasks.cpu_s, **costs.parts}.items():
            recorder.observe(cell, "cpu", [seconds], part.split())


def simulated(
    model: Model,
    basis: Results,
    times: Mapping[int, float],
    scale: Scale,
) -> Results:
    """A session of cells that were not run, each with the time that the model predicts."""
    (measured, *_) = (row for row in basis["workload"] if row["scenario"] == CLUSTER)
    settings = {**vars(scale), "terms_s": vars(model)}
    session = Session("cluster simulate", settings, ())
    known = {name: measured[name] for name in measured if name in WORKLOAD.by_name}
    workload = WORKLOAD.row(**{**known, "samples": scale.images})
    rows: list[tuple[str, Row]] = [(WORKLOAD.name, workload)]
    for executors, seconds in times.items():
        size = f"{executors:,} executors of {scale.cores} core(s), {scale.splits:,} splits"
        subject = SUBJECT.row(
            session_id=session.id,
            backend=BACKEND,
            configuration="spark",
            processes=executors * scale.cores,
            threads=1,
            options={"algorithm": "auto", "executors": executors, "splits": scale.splits},
            description=size,
        )
        cell = CELL.row(
            session_id=session.id,
            subject=subject["subject"],
            workload=workload["workload"],
            status=NOT_RUN,
            reason=f"{size}: a model's {seconds:.3g} s, not measured",
            predicted_s=seconds,
        )
        rows += [(SUBJECT.name, subject), (CELL.name, cell)]
    return session.results(rows, complete=True)
