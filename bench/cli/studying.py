"""What `sweep` and `study` share: the plan is shown, measured, and what was found is shown."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.data_options import show_data
from bench.cli.import_line import show_import
from bench.cli.signals import EXIT_INTERRUPTED
from bench.machine import cpus
from bench.model.check import ImportCheck
from bench.results import merging
from bench.results.result import strict_failure
from bench.results.results import Results
from bench.results.summary import benchmarks
from bench.study import report
from bench.study.plan import Plan
from bench.study.prediction import Predictor
from bench.study.records import Records
from bench.study.run import run
from bench.verdict.status import NOT_RUN, UNSUCCESSFUL
from bench.workers.options import Options

EXIT_FULL = 2
"""Exit status of a study that a full disk stopped."""

OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=GLOB",
        help="Measures only what fits, such as backend='columnar:*'; repeatable.",
        show_default="everything",
    ),
]
ShardOption = Annotated[
    str, typer.Option(metavar="K/N", help="Measures the K-th of N parts.", show_default="all")
]
RerunOption = Annotated[
    bool, typer.Option("--rerun", help="Measures again what is done, in further sessions.")
]


def planned(plan: Plan, folder: Path) -> Records:
    """Shows the plan, and what of it the folder holds; that."""
    records = Records(folder, plan)
    done = [records.done(number) for number in range(1, plan.study.sessions + 1)]
    report.show_plan(plan, done, Predictor(records.here), terminal.output())
    return records


def measure(
    plan: Plan,
    folder: Path,
    command: str,
    import_check: bool,
    strict: bool,
    label: str | None,
    *,
    rerun: bool = False,
) -> int:
    """Shows the plan, does it, and shows what was found; the exit status.

    If `strict`, a cell that others disturbed is a failure; `label` names the machine.
    """
    show_data(plan.study.data, plan.networks[0].dataset, terminal.stream())
    planned(plan, folder)
    checks = _import_checks(plan, import_check)
    status = 0
    try:
        with terminal.progress() as show:
            run(plan, folder, command, checks, show, label, rerun)
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
        _say(f"interrupted; {_kept(plan, folder)}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        status = EXIT_FULL
        _say(f"{error.filename}: {error.strerror}; {_kept(plan, folder)}")
    results = found(plan, folder)
    report.show(results, terminal.output())
    return status or exit_status(results, plan, strict)


def found(plan: Plan, folder: Path) -> Results:
    """What the folder holds of the plan's study, as measured on this machine."""
    return merging.merged([record.results for record in Records(folder, plan).ours])


def exit_status(results: Results, plan: Plan, strict: bool) -> int:
    """1 if a cell failed, nothing was run of a backend of a study that names them, or, of a strict
    one, if others disturbed a cell; else 0."""
    subjects = {row["subject"]: row for row in results["subject"]}
    by_engine: dict[str, set[str]] = {}
    for cell in results["cell"]:
        row = subjects[cell["subject"]]
        label = f"{row['backend']}:{row['configuration']}"
        by_engine.setdefault(label, set()).add(cell["status"])
    statuses = set[str]().union(*by_engine.values())
    asked = {entrant.selection.label for entrant in plan.entrants}
    unrun = plan.study.names_backends and any(by_engine.get(one) == {NOT_RUN} for one in asked)
    failed = unrun or not statuses.isdisjoint(UNSUCCESSFUL)
    too_disturbed = _too_disturbed(results) if strict else ""
    if too_disturbed:
        _say(too_disturbed)
    return int(failed or bool(too_disturbed))


def _too_disturbed(results: Results) -> str:
    sessions = (results.session(row["session_id"]) for row in results["session"])
    cells = [cell for session in sessions for cell in benchmarks(session)]
    return strict_failure(sum(cell.disturbed for cell in cells), len(cells))


def _kept(plan: Plan, folder: Path) -> str:
    records = Records(folder, plan)
    done = sum(len(records.done(k)) for k in range(1, plan.study.sessions + 1))
    total = len(plan.cells) * plan.study.sessions
    return f"{done:,} of {total:,} cells are done, the same command goes on from there ({folder})"


def _import_checks(plan: Plan, wanted: bool) -> dict[str, ImportCheck]:
    """How the networks were read that come from files, each said in a line."""
    options = Options(cpus.choose(None), plan.study.timeout)
    checks = {}
    for network in plan.networks:
        check = show_import(network.model, network.graph, wanted, options, terminal.stream())
        if check is not None:
            checks[network.model] = check
    return checks


def _say(line: str) -> None:
    print(f"cnn-bench: {line}", file=sys.stderr)
