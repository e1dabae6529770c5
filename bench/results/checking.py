"""What is wrong with results before anyone publishes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.machine.disturbance import DISTURBED_SHARE, Disturbance, disturbed
from bench.results import merging
from bench.results.result import MIN_RUNS, Benchmark, strict_failure
from bench.results.results import Results
from bench.results.schema import OFFLINE, Row
from bench.results.summary import benchmarks, disturbance_of, queried
from bench.text.figures import counted
from bench.verdict.status import UNSUCCESSFUL


def problems(results: Results, strict: bool = False) -> Iterator[str]:
    """What makes results unfit, one line each: incomplete, too few runs, failed.

    If `strict`, and of a session that was measured so, also cells that others disturbed.
    """
    for session in results["session"]:
        name, part = _name(session), results.session(session["session_id"])
        if not session["complete"]:
            yield f"{name}: incomplete: it was interrupted, or killed"
        if failure := _failure(session):
            yield f"{name}: no reference outputs to compare with: {failure}"
        for label, cell, workload in _cells(part):
            if cell["status"] in UNSUCCESSFUL:
                where = f" on {workload['samples']}" if workload["scenario"] == OFFLINE else ""
                reason = f": {cell['reason']}" if cell["reason"] else ""
                yield f"{name}: {label}{where}: {cell['status']}{reason}"
        for benchmark, runs in _short(session, part):
            if not _spent(benchmark, session):
                yield f"{name}: {benchmark.label} on {benchmark.samples}: too few: {runs}"
        wanted = strict or _setting(session, "strict") is True
        if wanted and (failure := strict_failure(*_disturbed(part))):
            yield f"{name}: {failure}"
        if not part["observation"]:
            yield f"{name}: nothing was measured"
    if not results["session"]:
        yield "there is no session in it"


def notes(results: Results) -> Iterator[str]:
    """What readers of results should know that makes them no less complete, one line each."""
    for session in results["session"]:
        name, part = _name(session), results.session(session["session_id"])
        for benchmark, runs in _short(session, part):
            if _spent(benchmark, session):
                where = f"{benchmark.label} on {benchmark.samples}"
                yield f"{name}: {where}: {runs}, as far as --budget goes"
        disturbed_cells, cells = _disturbed(part)
        if disturbed_cells:
            yield (
                f"{name}: others took over {DISTURBED_SHARE:.0%} of the time of {disturbed_cells} "
                f"of {counted(cells, 'cell')}, whose medians are compared with no other"
            )


def differences(results: Results) -> Iterator[str]:
    """Why sessions cannot be compared with each other, one line each."""
    names = merging.machines(results)
    if len(names) > 1:
        yield f"measured on {len(names)} machines: {', '.join(names)}"
    versions: dict[str, set[str]] = {}
    for session in results["session"]:
        if isinstance(session["versions"], dict):
            for package, version in session["versions"].items():
                versions.setdefault(package, set()).add(str(version))
    for package, found in versions.items():
        if len(found) > 1:
            yield f"measured with {package} {' and '.join(sorted(found))}"


def _cells(results: Results) -> Iterator[tuple[str, Row, Row]]:
    """Cells with their backend's name and their workload."""
    subjects = {row["subject"]: row for row in results["subject"]}
    workloads = {row["workload"]: row for row in results["workload"]}
    for cell in results["cell"]:
        subject = subjects[cell["subject"]]
        label = f"{subject['backend']}:{subject['configuration']}"
        yield label, cell, workloads[cell["workload"]]


def _name(session: Row) -> str:
    return f"{session['command']} of {session['started']}"


def _failure(session: Row) -> str:
    truth = session["truth"]
    return str(truth.get("failure") or "") if isinstance(truth, dict) else ""


def _disturbed(part: Results) -> tuple[int, int]:
    """How many cells of one session others disturbed, and how many were timed at all."""
    turns: dict[str, list[Disturbance | None]] = {}
    for block in part["observation"]:
        if block["metric"] in ("time", "latency") and any(block["value"]):
            turns.setdefault(block["cell"], []).append(disturbance_of(block["disturbance"]))
    return sum(map(disturbed, turns.values())), len(turns)


def _short(session: Row, part: Results) -> Iterator[tuple[Benchmark, str]]:
    """Cells with fewer runs than were asked for, and how many they have in words."""
    wanted = _setting(session, "runs")
    for benchmark in (*benchmarks(part), *queried(part)):
        if isinstance(wanted, int) and 0 < len(benchmark.times) < wanted:
            yield benchmark, f"{len(benchmark.times)} runs, of {wanted} that were asked for"


def _spent(benchmark: Benchmark, session: Row) -> bool:
    """Whether one more run, as long as its longest, would not have been within the budget."""
    budget = _setting(session, "budget_s")
    return (
        isinstance(budget, int | float)
        and len(benchmark.times) >= MIN_RUNS
        and sum(benchmark.times) + max(benchmark.times) > budget
    )


def _setting(session: Row, name: str) -> Any:
    settings = session["settings"]
    return settings.get(name) if isinstance(settings, dict) else None
