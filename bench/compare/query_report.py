"""What a report says of a query in SQL instead of what it says of a network."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from bench.results.result import Benchmark, Result, best
from bench.results.schema import SQL_PARTS
from bench.text.caveats import show_caveats
from bench.text.figures import counted, milliseconds
from bench.text.table_style import print_table, show_note, show_title, table
from bench.verdict.status import PASSED

_SHOWN_ROWS = 12


def show_query(result: Result, console: Console) -> None:
    """Prints what was asked of whom, and the query's text."""
    context = result.context
    settings, model, data, query = (context[n] for n in ("settings", "model", "data", "query"))
    meaning = settings.get("meaning", "")
    console.print(
        f"[bold]{escape(query['name'])}[/]: {escape(str(meaning))}\n"
        f"{escape(model['name'])} ({model['parameters']:,} parameters) on {escape(data['name'])} "
        f"({counted(data['rows'], 'image')}) in Parquet files, "
        f"{counted(settings['threads'], 'thread')}",
        highlight=False,
    )
    show_caveats(console, context)
    console.print()
    for line in query["sql"].split("\n"):
        console.print(f"    {escape(line)}", highlight=False)


def show_parts(result: Result, labels: Sequence[str], console: Console) -> None:
    """Prints what each part of a run took, on the most images that each engine ran."""
    made = table("engine", "images", *SQL_PARTS, "÷fastest")
    for label in labels:
        measured = [c for c in result.benchmarks if c.label == label and c.median_s]
        if measured:
            cell = max(measured, key=lambda cell: cell.samples)
            seconds = [cell.phases.get(part, 0.0) for part in SQL_PARTS]
            fastest = best(result.benchmarks, cell.samples)
            made.add_row(
                escape(label),
                f"{cell.samples:,}",
                *map(milliseconds, seconds),
                _ratio(cell, fastest),
            )
    if not made.rows:
        return
    show_title(console, "Where the time went, in ms: medians on the most images each engine ran")
    print_table(console, made, ("images", "÷fastest"))
    show_note(
        console,
        "relational: filters, joins, groups, order. conversion: rows and images from one engine's "
        "form to another's. rest: planning, threads that wait. Where threads share a part it is "
        "their mean. The clocks of the parts are on in every run.",
    )
    if any(cell.relational for cell in result.benchmarks):
        names = ", ".join(dict.fromkeys(c.label for c in result.benchmarks if c.relational))
        show_note(
            console,
            f"{escape(names)} runs no network: it reads from a file what networks give. It is the "
            "relational part alone, and compared with nothing.",
        )


def show_rows(result: Result, console: Console) -> None:
    """Prints the result, and how many engines gave these rows."""
    parity = result.context["parity"]
    if parity["failure"]:
        show_title(console, f"No rows could be compared: {parity['failure']}")
        return
    rows = parity["result"]
    right = dict.fromkeys(c.label for c in result.benchmarks if c.status == PASSED)
    most = max(result.context["settings"]["samples"], default=0)
    show_title(
        console,
        f"The result on {counted(most, 'image')}: {counted(parity['rows'], 'row')}, the same from "
        f"{counted(len(right), 'engine')} in every run",
    )
    made = table(*map(escape, parity["names"] or [""]))
    for row in rows[:_SHOWN_ROWS]:
        made.add_row(*(escape(f"{v:,}" if isinstance(v, int) else v) for v in row))
    print_table(console, made)
    if len(rows) > _SHOWN_ROWS:
        show_note(console, f"and {counted(len(rows) - _SHOWN_ROWS, 'row')} more, in JSON")
    show_note(
        console,
        "Right rows are those that the float64 reference's classes give, one by one and in order.",
    )


def _ratio(cell: Benchmark, fastest: Benchmark | None) -> str:
    if cell.relational or fastest is None or cell.disturbed or fastest.disturbed:
        return "-"
    assert cell.median_s is not None
    assert fastest.median_s is not None
    return f"{cell.median_s / fastest.median_s:,.2f}"
