"""A study's sessions one after the other, each from where the folder says it was left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.machine import environment
from bench.model.check import ImportCheck
from bench.results.document import SUFFIX
from bench.results.schema import MACHINE, SESSION
from bench.results.session import Session
from bench.study.journal import StudyJournal
from bench.study.plan import Plan
from bench.study.records import Record, Records
from bench.study.session import StudySession
from bench.text.progress import Progress
from columnar_nn.errors import UsageError


def run(
    plan: Plan,
    folder: Path,
    command: str,
    checks: Mapping[str, ImportCheck],
    progress: Progress,
    label: str | None = None,
    rerun: bool = False,
) -> None:
    """Measures what is pending; with `rerun` also what is done, in further sessions.

    `label` is the user's name of the machine, which a session that goes on has already.
    Raises OSError where a disk is full, KeyboardInterrupt, and UsageError if another process is at
    it: whatever was measured by then is in the folder, and the next call goes on from there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, plan.study.sessions + 1):
        records = Records(folder, plan)
        record = records.to_go_on_with(number)
        if rerun:
            done = record.ended(plan.study.limits) if record else set()
        else:
            done = records.done(number)
        if record is None and plan.cells <= done:
            continue
        session, journal = _opened(plan, folder, command, number, checks, label, record)
        if record is not None:
            record = replace(record, results=journal.results())  # as it is, now that it is ours
        measuring = StudySession(plan, number, done, session, journal, checks, progress, record)
        try:
            measuring.run()
            _close(plan, session, journal, measuring)
        except BaseException:
            journal.close()
            raise


def _opened(
    plan: Plan,
    folder: Path,
    command: str,
    number: int,
    checks: Mapping[str, ImportCheck],
    label: str | None,
    record: Record | None,
) -> tuple[Session, StudyJournal]:
    """The session, a new one or one that goes on, and its journal."""
    if record is not None:
        journal = StudyJournal.reopen(record.file)
        if journal is None:
            raise UsageError(f"{record.file}: another process is measuring this session")
        (machine,) = record.results["machine"]
        session = Session.resumed(record.session, machine, plan.cpus)
        journal.append([(SESSION.name, session.opening())])
        return session, journal
    study = plan.study
    settings = {
        "study": study.document(),
        "number": number,
        "only": list(plan.only),
        "shard": plan.shard,
        "runs": study.runs,
        "min_time_s": study.min_time,
        "budget_s": study.budget,
        "timeout_s": study.timeout,
        "algorithm": study.algorithm,
        "cpus": list(plan.cpus),
        "seed": study.order_seed,
    }
    left_out = dict.fromkeys(network.dataset.warning for network in plan.networks)
    session = Session(
        command,
        settings,
        plan.cpus,
        warnings=[
            *environment.doubts(plan.networks[0].graph, plan.cpus),
            *filter(None, left_out),
        ],
        import_check={model: check.document() for model, check in checks.items()} or None,
        study=study.hash,
        label=label,
    )
    rows = [(SESSION.name, session.opening()), (MACHINE.name, session.machine)]
    return session, StudyJournal.create(folder / f"{number}-{session.id}{SUFFIX}", rows)


def _close(plan: Plan, session: Session, journal: StudyJournal, measured: StudySession) -> None:
    """Makes a document of the journal; complete, if every cell of it has come to its end."""
    record = Record(journal.path, journal.results())
    complete = record.cells.keys() <= record.ended(plan.study.limits)
    truth = measured.truth() if measured.truth()["models"] else record.session["truth"]
    journal.append([(SESSION.name, session.ended(complete, truth))])
    journal.become_document()
