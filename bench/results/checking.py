"""What is wrong with results before anyone publishes them."""

from __future__ import annotations

from collections.abc import Iterator

from bench.results import merging
from bench.results.results import Results
from bench.results.schema import OFFLINE, Row
from bench.results.summary import benchmarks, queried
from bench.verdict.status import UNSUCCESSFUL


def problems(results: Results) -> Iterator[str]:
    """What makes results unfit, one line each: incomplete, too few runs, failed."""
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
        wanted = _runs(session)
        for benchmark in (*benchmarks(part), *queried(part)):
            if 0 < len(benchmark.times) < wanted:
                runs = f"{len(benchmark.times)} runs, of {wanted} that were asked for"
                yield f"{name}: {benchmark.label} on {benchmark.samples}: too few: {runs}"
        if not part["observation"]:
            yield f"{name}: nothing was measured"
    if not results["session"]:
        yield "there is no session in it"


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


def _runs(session: Row) -> int:
    runs = session["settings"].get("runs") if isinstance(session["settings"], dict) else None
    return runs if isinstance(runs, int) else 0
