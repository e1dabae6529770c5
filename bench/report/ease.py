"""What it takes to use each backend, as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from bench.report.tables import Table
from bench.results.results import Results
from bench.results.schema import EASE, Row
from bench.results.statistics import estimate_median
from bench.verdict.status import PASSED

NO_COMPLAINT = "nothing: it runs it"

_Key = tuple[str, str, str]


def ease(results: Results) -> Iterator[Table]:
    """The tables of what `cnn-bench backends --measure` has measured, the latest session's."""
    sessions = {
        row["session_id"]: row for row in results["session"] if row["command"] == "backends"
    }
    if not sessions:
        return
    part = results.session(max(sessions, key=lambda name: str(sessions[name]["started"])))
    rows = [*_rows(part)]
    if not rows:
        return
    yield Table(
        "ease",
        "What it takes to use each engine",
        ("engine", "packages", "MiB", "import, s", "first result, s", "adapter, lines"),
        tuple(row for row, _ in rows),
        "packages and MiB: all that is installed for it, without Python; for columnar and "
        "reference what cnn-bench itself needs. first result: from the start of the process, a "
        "median. adapter: the code that puts it behind the common interface.",
    )
    yield Table(
        "ease-words",
        "What each engine must be told, lacks and says",
        ("engine", "set so that it is fair", "operators not run", "says to float64 filters"),
        tuple(words for _, words in rows),
        "The last column is the first line of what a user sees, through its adapter, of a "
        "convolution of float32 images with float64 filters. Threads that libraries take from the "
        "environment are set for all.",
    )


def _rows(results: Results) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    subjects = {row["subject"]: row for row in results["subject"]}
    workloads = {row["workload"]: row["scenario"] for row in results["workload"]}
    cells = {row["cell"]: row for row in results["cell"]}
    found: dict[_Key, list[float]] = defaultdict(list)
    for block in results["observation"]:
        known = [value for value in block["value"] if value is not None]
        name = " ".join(map(str, block["part"]))
        found[cells[block["cell"]]["subject"], block["metric"], name] += known
    for cell in cells.values():
        if workloads[cell["workload"]] == EASE:
            subject = subjects[cell["subject"]]
            label = f"{subject['backend']}:{subject['configuration']}"
            own = {key[1:]: values for key, values in found.items() if key[0] == cell["subject"]}
            yield (label, *_figures(own)), (label, *_words(cell))


def _figures(own: Mapping[tuple[str, str], list[float]]) -> Iterator[str]:
    sizes = [sum(values) for (metric, _), values in own.items() if metric == "installed"]
    yield str(len(sizes)) if sizes else "-"
    yield f"{sum(sizes) / 2**20:,.0f}" if sizes else "-"
    for part in ("import", "total"):
        values = own.get(("cold_start", part))
        yield f"{estimate_median(values).median:.2f}" if values else "-"
    lines = own.get(("adapter_lines", ""))
    yield f"{lines[0]:,.0f}" if lines else "-"


def _words(cell: Row) -> Iterator[str]:
    detail: Any = cell["detail"] if isinstance(cell["detail"], Mapping) else {}
    settings, missing = detail.get("settings"), detail.get("unimplemented")
    yield _names(settings)
    if cell["status"] == PASSED:
        yield _names(missing)
        yield str(detail.get("on_wrong_network") or NO_COMPLAINT)
    else:
        yield "not known"
        yield f"{cell['status']}: {cell['reason'] or ''}"


def _names(tree: Any) -> str:
    return ", ".join(map(str, tree)) if isinstance(tree, Mapping) and tree else "none"
