"""A cell of a comparison in the tables: its time an image, its ratio to another, what failed."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from bench.machine.disturbance import DISTURBED_SHARE
from bench.results.result import Benchmark, Result
from bench.text.caveats import show_narrow
from bench.text.figures import milliseconds
from bench.text.table_style import show_note
from bench.verdict.status import PASSED

_OVER_BUDGET = "over budget"


def per_image(cell: Benchmark, text_of: Callable[[float], str] = milliseconds) -> str:
    """Time an image and half its interval, if it has one; in red if it did not pass."""
    if cell.median_s is None or cell.ci_low_s is None or cell.ci_high_s is None:
        return f"[dim]{cell.status.lower() if cell.predicted_s is None else _OVER_BUDGET}[/]"
    half = max(cell.ci_high_s - cell.median_s, cell.median_s - cell.ci_low_s) / cell.median_s
    text = text_of(cell.median_s / cell.samples)
    text += f" ±{half:.0%}" if len(cell.times) > 1 else ""
    text += "*" if cell.disturbed else ""
    return text if cell.status == PASSED else f"[bold red]{text}![/]"


def median(cell: Benchmark) -> float | None:
    """Of a disturbed cell None: it is compared with no other."""
    return None if cell.disturbed else cell.median_s


def fastest(cell: Benchmark) -> float | None:
    """Its fastest run, if it has one that counts."""
    return cell.fastest_s


def quotient(
    cell: Benchmark, other: Benchmark, seconds: Callable[[Benchmark], float | None] = median
) -> float | None:
    """Time an image of the first over that of the other; None if either was not measured."""
    mine, theirs = seconds(cell), seconds(other)
    if mine is None or theirs is None:
        return None
    return mine / cell.samples / (theirs / other.samples)


def ratio(
    cell: Benchmark, other: Benchmark, seconds: Callable[[Benchmark], float | None] = median
) -> str:
    """The quotient as the tables have it."""
    found = quotient(cell, other, seconds)
    return "-" if found is None else f"{found:.2f}"


def show_reasons(console: Console, *results: Result) -> None:
    """Once for each backend why it did not pass, was not run, or is compared with no other.

    And which of them computed in less than float32.
    Of several comparisons, the network is named that it failed on.
    """
    cells = [cell for result in results for cell in result.cells]
    records = [record for result in results for record in result.backends]
    show_narrow(console, [(record.label, record.precision) for record in records])
    if any(cell.disturbed for cell in cells):
        show_note(
            console,
            f"* others took over {DISTURBED_SHARE:.0%} of the time: no ratio of its median (-)",
        )
    if any(cell.predicted_s is not None for cell in cells):
        budget = results[0].context["settings"]["budget_s"]
        limit = f"longer than {budget:g} s; --budget allows more"
        show_note(console, f"{_OVER_BUDGET}: a single run would take {limit}")
    troubled = [cell for cell in cells if cell.reason and cell.predicted_s is None]
    found = (
        (f"{c.model}, {c.label}" if len(results) > 1 else c.label, c.status, c.reason)
        for c in troubled
    )
    for label, status, reason in dict.fromkeys(found):
        show_note(console, f"{escape(label)}: {status.lower()}: {escape(reason)}")
