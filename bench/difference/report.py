"""A difference as a table on the terminal, as Markdown, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.difference import wording
from bench.difference.difference import Difference
from bench.difference.gate import Outcome
from bench.difference.judgement import Judgement, Verdict
from bench.difference.pairs import BASE, NEW, Pair
from bench.difference.permutation import CONFIDENCE
from bench.results.schema import finite
from bench.text.caveats import show_caveat
from bench.text.table_style import print_table, show_note, show_title, table
from columnar_nn.errors import printable

FORMAT = "cnn-bench/difference"

_STYLES = {
    Verdict.FASTER: "green",
    Verdict.SLOWER: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.FAILED: "bold red",
    Verdict.MISSING: "yellow",
    Verdict.NOT_COMPARABLE: "yellow",
}
_NamedRow = tuple[tuple[str, str], Pair, Judgement]
_WORKLOAD = ("workload", "model_name", "samples", "batch_size", "scenario", "rate")
_OUTCOMES = {Outcome.FAILED: "red", Outcome.UNDECIDED: "yellow", Outcome.PASSED: "green"}


def show(difference: Difference, console: Console) -> None:
    """Prints all of it."""
    for line in wording.title(difference):
        console.print(_text(line), highlight=False)
    for line in difference.warnings:
        show_caveat(console, "warning", printable(line))
    for line in difference.contradictions:
        console.print(f"[bold red]not comparable:[/] {_text(line)}", highlight=False)
    for metric, rows in _by_metric(difference):
        show_title(console, metric)
        made = table(*wording.HEADINGS)
        for name, pair, judgement in rows:
            *figures, verdict = wording.cells(pair, judgement, difference.margin)
            style = _STYLES.get(judgement.verdict, "none")
            _add(made, name, *figures, f"[{style}]{_text(verdict)}[/]")
        print_table(console, made, (BASE, NEW))
        unsettled = table(*wording.OPEN_HEADINGS)
        for name, pair, judgement in rows:
            if row := wording.open_cells(pair, judgement):
                _add(unsettled, name, *row)
        if unsettled.rows:
            show_title(console, f"What is open of {metric}")
            print_table(console, unsettled)
    for line in wording.remarks(difference):
        console.print(_text(line), highlight=False)
    show_note(console, wording.explanation(difference))
    for outcome, line in wording.gates(difference):
        console.print(f"[{_OUTCOMES[outcome]}]{_text(line)}[/]", highlight=False)
    console.print(f"[bold]{wording.count(difference)}[/]", highlight=False)


def to_markdown(difference: Difference) -> str:
    """All of it, as GitHub shows it in a comment or a job's summary."""
    lines = [f"**{wording.count(difference)}**", ""]
    lines += [f"- {_plain(line)}" for line in wording.title(difference)]
    lines += [f"- warning: {_plain(line)}" for line in difference.warnings]
    lines += [f"- **not comparable**: {_plain(line)}" for line in difference.contradictions]
    lines += [f"- {_plain(line)}" for _, line in wording.gates(difference)]
    for metric, rows in _by_metric(difference):
        lines += ["", f"### {metric}", "", _row(*wording.HEADINGS), "|---|--:|--:|--:|--:|---|"]
        for name, pair, judgement in rows:
            *figures, verdict = wording.cells(pair, judgement, difference.margin)
            shown = f"**{verdict}**" if judgement.verdict in _STYLES else verdict
            lines.append(_row(_plain(", ".join(name)), *figures, shown))
        unsettled = [(name, wording.open_cells(pair, judgement)) for name, pair, judgement in rows]
        if any(row for _, row in unsettled):
            lines += ["", _row(*wording.OPEN_HEADINGS), "|---|--:|--:|--:|"]
            lines += [_row(_plain(", ".join(name)), *row) for name, row in unsettled if row]
    lines += ["", *(f"- {_plain(line)}" for line in wording.remarks(difference))]
    return "\n".join([*lines, "", wording.explanation(difference), ""])


def to_json(difference: Difference, exit_code: int) -> str:
    """All of it for programs: times in seconds, changes as shares, null for what is not known."""
    document = {
        "format": FORMAT,
        "format_version": 1,
        "exit_code": exit_code,
        "confidence": CONFIDENCE,
        "margin": difference.margin,
        "sessions": {
            BASE.lower(): [row["session_id"] for row in difference.base["session"]],
            NEW.lower(): [row["session_id"] for row in difference.new["session"]],
        },
        "not_comparable": list(difference.contradictions),
        "warnings": list(difference.warnings),
        "cells": [_entry(difference, pair, judgement) for pair, judgement in difference.rows],
        "gates": [
            {
                "gate": gated.gate.text,
                "subject": gated.pair.subject["subject"],
                "workload": gated.pair.workload["workload"],
                "outcome": gated.outcome.value,
            }
            for gated in difference.gated
        ],
    }
    return json.dumps(finite(document), indent=2, allow_nan=False) + "\n"


def _entry(difference: Difference, pair: Pair, judgement: Judgement) -> dict[str, Any]:
    subject, workload = pair.subject, pair.workload
    return {
        **{name: subject[name] for name in ("subject", "backend", "configuration", "threads")},
        **{name: workload[name] for name in _WORKLOAD},
        "metric": pair.metric.name,
        "unit": pair.metric.unit,
        "verdict": judgement.verdict.value,
        "looks": wording.appearance(judgement, difference.margin) or None,
        "reason": pair.reason or None,
        "base": pair.base.tolist(),
        "new": pair.new.tolist(),
        "change": judgement.change,
        "low": judgement.low if math.isfinite(judgement.high) else None,
        "high": judgement.high,
        "p_value": judgement.p_value,
        "smallest_change": judgement.smallest,
        "sessions_to_settle": judgement.settle,
    }


def _by_metric(difference: Difference) -> Iterator[tuple[str, list[_NamedRow]]]:
    named = zip(wording.names(difference), difference.rows, strict=True)
    rows = [(name, pair, judgement) for name, (pair, judgement) in named]
    for metric, group in groupby(rows, lambda row: row[1].metric.title):
        yield metric, list(group)


def _add(made: Table, name: tuple[str, str], *cells: str) -> None:
    """A row below the line of its subject, which the first of them is given."""
    subject = _text(name[0])
    if subject not in made.columns[0].cells:
        made.add_row(subject)
    made.add_row(f"  {_text(name[1])}", *cells)


def _text(text: str) -> str:
    """A text of anyone's file as rich's markup."""
    return escape(printable(text))


def _plain(text: str) -> str:
    """A text of anyone's file as Markdown that neither formats nor ends a table's cell."""
    return "".join(
        f"\\{letter}" if letter in r"\|<>[]*_`#" else letter for letter in printable(text)
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
