"""The observations of any session as a table: how many there are of each kind, and their middle."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from bench.results.results import Results, series
from bench.results.schema import Row
from bench.text.table_style import print_table, show_note, show_title, table

_LONGEST = 40


def show(results: Results, console: Console) -> None:
    """Prints one session: what was asked of whom, and of each metric and part the median."""
    (session,) = results["session"]
    workloads = {row["workload"]: row for row in results["workload"]}
    cells = {row["cell"]: row for row in results["cell"]}
    found: dict[tuple[object, ...], list[float]] = defaultdict(list)
    units: dict[tuple[object, ...], str] = {}
    for block in results["observation"]:
        found[series(block)] += [value for value in block["value"] if value is not None]
        units[series(block)] = block["unit"]
    show_title(console, f"cnn-bench {session['command']}, {session['started']}")
    if not session["complete"]:
        console.print("[yellow]incomplete:[/] it was interrupted, or killed", highlight=False)
    labels = _labels(results)
    shapes = {row["subject"]: f"{row['processes']}x{row['threads']}" for row in results["subject"]}
    shaped = len(set(shapes.values())) > 1
    naming = ("backend:configuration", *(("PxT",) if shaped else ()), "images", "metric")
    made = table(*naming, "number", "median", "status")
    for (_, cell_id, metric, part), values in found.items():
        cell = cells[str(cell_id)]
        workload = workloads[cell["workload"]]
        unit = units[session["session_id"], cell_id, metric, part]
        name = " ".join([str(metric), *map(str, part)])  # type: ignore[call-overload]
        made.add_row(
            escape(labels[cell["subject"]]),
            *((shapes[cell["subject"]],) if shaped else ()),
            "-" if workload["samples"] is None else f"{workload['samples']:,}",
            escape(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 2]}.."),
            f"{len(values):,}",
            f"{statistics.median(values):.4g} {escape(unit)}" if values else "-",
            escape(cell["status"]),
        )
    print_table(console, made, ("status",), names=len(naming))
    if shaped:
        show_note(console, "PxT: processes x threads of each.")
    for cell in results["cell"]:
        if cell["reason"]:
            samples = workloads[cell["workload"]]["samples"]
            where = "" if samples is None else f" on {samples:,}"
            told = f"{labels[cell['subject']]}{where}: {cell['status']}: {cell['reason']}"
            console.print(escape(told), highlight=False)


def _labels(results: Results) -> dict[str, str]:
    """Names of the subjects: backend and configuration, and words that tell those of one apart.

    These are their descriptions, or where they have the same, the options in which they differ.
    """
    alike: dict[str, list[Row]] = defaultdict(list)
    for row in results["subject"]:
        alike[f"{row['backend']}:{row['configuration']}"].append(row)
    labels: dict[str, str] = {}
    for name, rows in alike.items():
        words = [row["description"] for row in rows]
        if len(set(words)) < len(words):
            words = _differing([row["options"] for row in rows])
        for row, word in zip(rows, words, strict=True):
            labels[row["subject"]] = f"{name} ({word})" if word and len(rows) > 1 else name
    return labels


def _differing(options: Sequence[object]) -> list[str]:
    """Of several subjects' options, those that are not the same for all, as words."""
    trees = [tree if isinstance(tree, dict) else {} for tree in options]
    names = dict.fromkeys(name for tree in trees for name in tree)
    differ = [name for name in names if any(tree.get(name) != trees[0].get(name) for tree in trees)]
    return [", ".join(f"{name} {t[name]}" for name in differ if name in t) for t in trees]
