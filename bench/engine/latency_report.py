"""The table of latencies: median, tail, and how they compare."""

from __future__ import annotations

from collections.abc import Sequence

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
        "kept",
        "x p50",
        "x fastest",
    )
    for cell in cells:
        kept = part.kept.get(cell.label, ())
        made.add_row(escape(cell.label), *_figures(cell, _tail(kept), ours))
    print_table(console, made, ("queries",))
    show_note(
        console,
        f"x: how many times as long as {ours.label} it takes. kept: {tail}/p50 of those queries "
        "that kept their CPU; the others had to wait for another process.",
    )
    show_reasons(console, part.comparison)


def _tail(latencies: Sequence[float]) -> str:
    """How far they reach: TAIL over the median; "-" of too few."""
    half, far = percentile(latencies, 50), percentile(latencies, TAIL)
    return "-" if half is None or far is None else f"{far.seconds / half.seconds:.2f}"


def _figures(cell: Benchmark, kept: str, ours: Benchmark) -> tuple[str, ...]:
    if not cell.times:
        return (f"[dim]{cell.status.lower()}[/]", *["-"] * 7)
    half, far = percentile(cell.times, 50), percentile(cell.times, TAIL)
    mark = ("*" if cell.disturbed else "") + ("" if cell.status == PASSED else "!")
    return (
        f"{len(cell.times):,}{mark}",
        milliseconds(min(cell.times)),
        "-" if half is None else milliseconds(half.seconds),
        "-" if far is None else milliseconds(far.seconds),
        _tail(cell.times),
        kept,
        ratio(cell, ours, median),
        ratio(cell, ours, fastest),
    )
