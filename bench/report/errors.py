"""How far outputs are from the float64 reference's: of each engine the worst that was compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.results.result import Benchmark
from bench.results.results import Results
from bench.results.schema import CHECK
from bench.verdict.status import worst


def errors(
    parts: Sequence[Results], measured: Iterable[Benchmark], name: Callable[[Benchmark], str]
) -> list[dict[str, Any]]:
    """A row an engine: what an image took in its longest run, and its worst output of any run.

    Among these is the one over the first images that every engine runs for a check, however few
    its timed runs are of; `samples` is over how many images the error is.
    """
    by_engine: dict[str, list[Benchmark]] = defaultdict(list)
    for cell in sorted(measured, key=lambda cell: cell.samples):
        if cell.max_rel is not None:
            by_engine[name(cell)].append(cell)
    checks, precisions = _checks(parts), _precisions(parts)
    found = []
    for engine, cells in by_engine.items():
        runs = [*map(vars, cells), *checks.get(engine, ())]
        status = worst(run["status"] for run in runs)
        alike = (run for run in runs if run["status"] == status)
        shown = max(alike, key=lambda run: (run["max_rel"] or 0.0, run["parity_rows"] or 0))
        found.append(
            {
                "engine": engine,
                "samples": shown["parity_rows"] or 0,
                "image_s": (cells[-1].median_s or 0.0) / cells[-1].samples,
                "max_rel": shown["max_rel"],
                "top1_agreement": shown["top1_agreement"],
                "status": status,
                "precision": precisions.get(cells[-1].label),
            }
        )
    return found


def _checks(parts: Iterable[Results]) -> dict[str, list[dict[str, Any]]]:
    """The rows of what was run for a check, by engine; `status` and figures as a cell has them."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for results in parts:
        subjects = {row["subject"]: row for row in results["subject"]}
        checks = {row["workload"] for row in results["workload"] if row["scenario"] == CHECK}
        for cell in results["cell"]:
            if cell["workload"] in checks and cell["max_rel"] is not None:
                subject = subjects[cell["subject"]]
                found[f"{subject['backend']}:{subject['configuration']}"].append(dict(cell))
    return found


def _precisions(parts: Iterable[Results]) -> dict[str, str | None]:
    """In what each engine computed, by its own account."""
    return {
        f"{row['backend']}:{row['configuration']}": row["precision"]
        for results in parts
        for row in results["subject"]
    }
