"""The table of operators alone."""

from __future__ import annotations

from rich.console import Console

from bench.engine.cell_text import fastest, median, per_image, quotient, ratio, show_reasons
from bench.engine.operators import OURS, PEER, Operators
from bench.text.table_style import print_table, show_note, show_title, table

LIMIT = 2.0
"""Times its peer's time that an operator may take; of one that takes more the ratio is red."""


def show_operators(part: Operators, console: Console) -> None:
    """A row for each operator: both times, and the ratio by medians and by fastest runs."""
    samples = part.comparisons[0].benchmarks[0].samples
    show_title(console, f"Operators alone, us a row, {samples:,} rows, Arrow in to Arrow out")
    made = table("operator", "columnar", "ONNX Runtime", "ratio", "of fastest runs")
    for comparison in part.comparisons:
        cells = {cell.label: cell for cell in comparison.benchmarks}
        ours, peer = cells[OURS.label], cells[PEER.label]
        least = quotient(ours, peer, fastest)
        text = ratio(ours, peer, fastest)
        made.add_row(
            ours.model,
            *(per_image(cell, _microseconds) for cell in (ours, peer)),
            ratio(ours, peer, median),
            f"[bold red]{text}[/]" if least is not None and least > LIMIT else text,
        )
    print_table(console, made)
    show_note(
        console,
        "ratio: the columnar engine's time over ONNX Runtime's; below 1 it is the faster one. ±: "
        "half of the median's confidence interval, in % of it.",
    )
    show_reasons(console, *part.comparisons)


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f}"
