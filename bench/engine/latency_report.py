"""The table of latencies: median, tail, and how they compare."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from bench.engine.cell_text import fastest, median, ratio, show_reasons
from bench.engine.latency import TAIL, Latency
from bench.results.percentiles import percentile
from bench.results.result import Benchmark
from bench.text.figures import milliseconds
from bench.text.table_style import print_table, show_note, show_title, table
from bench.verdict.status import PASSED


def show_latency(part: Latency, console: Console) -> None:
    """A row for each engine; the last two columns hold its times over the columnar engine's."""
    cells = [served.cell for served in part.comparison.served]
    ours = next(cell for cell in cells if cell.backend == "columnar")
    show_title(console, "One image after another: latency in ms, Arrow in to Arrow out")
    tail = f"p{TAIL:g}"
    made = table(
        "backend:configuration",
        "queries",
        "fastest",
        "p50",
        tail,
        f"{tail}/p50",
        "x p50",
        "x fastest",
    )
    for cell in cells:
        made.add_row(escape(cell.label), *_figures(cell, ours))
    print_table(console, made, ("queries",))
    show_note(
        console,
        f"x: how many times as long as {ours.label} it takes. Who else runs here lengthens the "
        "tail first: each of its queries may wait for a CPU.",
    )
    show_reasons(console, part.comparison)


def _figures(cell: Benchmark, ours: Benchmark) -> tuple[str, ...]:
    if not cell.times:
        return (f"[dim]{cell.status.lower()}[/]", *["-"] * 6)
    half, far = percentile(cell.times, 50), percentile(cell.times, TAIL)
    mark = ("*" if cell.disturbed else "") + ("" if cell.status == PASSED else "!")
    return (
        f"{len(cell.times):,}{mark}",
        milliseconds(min(cell.times)),
        "-" if half is None else milliseconds(half.seconds),
        "-" if far is None else milliseconds(far.seconds),
        "-" if half is None or far is None else f"{far.seconds / half.seconds:.2f}",
        ratio(cell, ours, median),
        ratio(cell, ours, fastest),
    )
