"""The observations of any session as a table: how many there are of each kind, and their middle."""

from __future__ import annotations

import statistics
from collections import defaultdict

from rich.console import Console
from rich.markup import escape

from bench.results.results import Results, series
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
            label = labels[cell["subject"]].partition(":")[0]
            console.print(escape(f"{label}: {cell['status']} {cell['reason']}"), highlight=False)


def _labels(results: Results) -> dict[str, str]:
    """Names of the subjects: backend and configuration, and words that tell those of one apart."""
    names = {
        row["subject"]: f"{row['backend']}:{row['configuration']}" for row in results["subject"]
    }
    words: dict[str, list[str]] = defaultdict(list)
    for row in results["subject"]:
        words[names[row["subject"]]].append(row["description"])
    told = {name for name, texts in words.items() if 1 < len(texts) == len(set(texts))}
    return {
        row["subject"]: f"{name} ({row['description']})" if name in told else name
        for row in results["subject"]
        for name in [names[row["subject"]]]
    }
