"""The latencies of queries as tables: percentiles by scenario, and the rates within a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.results.percentiles import CONFIDENCE, least_queries, percentile
from bench.results.result import Result, Served
from bench.results.schema import MULTI_STREAM, SERVER, SINGLE_STREAM
from bench.results.traffic import Limit, knee
from bench.text.figures import milliseconds
from bench.text.table_style import print_table, show_note, show_title, table
from bench.verdict.status import PASSED

_TITLES = {
    SINGLE_STREAM: "Single stream: latency of a query of one image in ms",
    MULTI_STREAM: "Multi-stream: latency of a query of several images in ms",
    SERVER: "Server: latency of a query of one image in ms, from when it was due",
}


def show(result: Result, order: Sequence[str], console: Console) -> None:
    """Prints the latencies, engines in this order, and what each can serve within the limit."""
    labels = dict.fromkeys((*order, *(one.cell.label for one in result.served)))
    places = {label: place for place, label in enumerate(labels)}
    for scenario, title in _TITLES.items():
        found = sorted(
            (one for one in result.served if one.scenario == scenario),
            key=lambda one: (places[one.cell.label], one.cell.samples, one.rate or 0.0),
        )
        if found:
            show_title(console, title)
            made = _table(scenario, found, result.traffic.percentiles)
            print_table(console, made, ("max",), names=1 + len(_ARRIVALS.get(scenario, ())))
    _show_notes(result, console)
    if result.traffic.limit is not None:
        _show_knees(result, [*labels], result.traffic.limit, console)


_ARRIVALS = {SERVER: ("queries/s",), MULTI_STREAM: ("images",)}
"""What tells the queries of an engine apart, beside it."""


def _table(scenario: str, found: Sequence[Served], percents: Sequence[float]) -> Table:
    headings = [f"p{percent:g}" for percent in percents]
    own = _ARRIVALS.get(scenario, ())
    waits = ["mean wait"] if scenario == SERVER else []
    made = table("backend:configuration", *own, "queries", *waits, *headings, "max")
    for one in found:
        cell = one.cell
        arrival = {SERVER: [f"{one.rate or 0:g}"], MULTI_STREAM: [f"{cell.samples:,}"]}
        row = [escape(cell.label), *arrival.get(scenario, [])]
        if not cell.times:
            made.add_row(*row, f"[yellow]{cell.status.lower()}[/]")
            continue
        star = ("*" if cell.disturbed else "") + ("" if cell.status == PASSED else "!")
        row.append(f"{len(cell.times):,}{star}")
        if waits:
            row.append("-" if one.wait_s is None else milliseconds(one.wait_s))
        row += [_percentile(one, percent) for percent in percents]
        made.add_row(*row, milliseconds(max(cell.times)))
    return made


def _percentile(one: Served, percent: float) -> str:
    found = percentile(one.cell.times, percent)
    return "-" if found is None else f"{milliseconds(found.seconds)} ≤{milliseconds(found.at_most)}"


def _show_notes(result: Result, console: Console) -> None:
    cells = [one.cell for one in result.served if one.cell.times]
    if not cells:
        return
    show_note(
        console,
        f"≤ what the true percentile is at most, with {CONFIDENCE:.0%} confidence if queries are "
        "independent. From Arrow batch to Arrow logits; nothing is sent over a network.",
    )
    for percent in result.traffic.percentiles:
        fewest = min(len(cell.times) for cell in cells)
        if fewest < (least := least_queries(percent)):
            show_note(
                console,
                f"- p{percent:g} takes {least:,} queries: --runs {least}, and a --budget "
                "that lasts",
            )
    if any(cell.disturbed for cell in cells):
        show_note(console, "* others took over 10% of its time: the tail may be theirs")
    if any(cell.status != PASSED for cell in cells):
        show_note(console, "! its output did not pass: see below")


def _show_knees(result: Result, order: Sequence[str], limit: Limit, console: Console) -> None:
    show_title(
        console, f"The largest rate at which p{limit.percent:g} is {_limit_text(limit)} at most"
    )
    made = table("backend:configuration", "queries/s", "of one by one", f"p{limit.percent:g} there")
    reasons = []
    for label in order:
        served = [one for one in result.served if one.cell.label == label and one.cell.times]
        rates = {one.rate: one.cell.times for one in served if one.rate is not None}
        alone = next((one for one in served if one.scenario == SINGLE_STREAM), None)
        best = knee([(rate, times) for rate, times in rates.items() if rate is not None], limit)
        if best is None:
            reasons += [f"{escape(label)}: {reason}" for reason in _reasons(served, limit)]
            continue
        found = percentile(rates[best], limit.percent)
        assert found is not None, "a rate is within a limit by a percentile"
        share = None
        if alone is not None:
            share = best * sum(alone.cell.times) / len(alone.cell.times)
        made.add_row(
            escape(label),
            f"{best:,.4g}",
            "-" if share is None else f"{share:.0%}",
            f"{milliseconds(found.seconds)} ≤{milliseconds(found.at_most)}",
        )
    if made.row_count:
        print_table(console, made)
    for reason in reasons:
        console.print(reason, highlight=False)


def _reasons(served: Sequence[Served], limit: Limit) -> Iterator[str]:
    """Why no rate is known to be within the limit."""
    if not served:
        return
    lacking = [one for one in served if limit.holds(one.cell.times) is None]
    lowest = min(served, key=lambda one: one.rate or 0.0)
    if lacking:
        count, least = len(lacking[0].cell.times), least_queries(limit.percent)
        yield (
            f"not known: of {least:,} queries that p{limit.percent:g} takes, the budget allowed "
            f"{count:,}; raise --budget"
        )
    elif lowest.rate is None:
        yield "none: queries one by one take longer"
    else:
        yield f"none of those that were tried, from {lowest.rate:g} queries/s on"


def _limit_text(limit: Limit) -> str:
    return f"{milliseconds(limit.seconds)} ms"
