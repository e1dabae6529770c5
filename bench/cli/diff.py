"""`cnn-bench diff`: which cells became faster or slower, and whether gates hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.options import one_of
from bench.difference import comparability, gate, report
from bench.difference.difference import difference
from bench.results import document
from columnar_nn.errors import UsageError

FORMATS = ("table", "md", "json")

_FILES = "A file of results, or a folder of them: a session each, or several."


def diff(
    base: Annotated[Path, typer.Argument(metavar="BASE", help=_FILES)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help=_FILES)],
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC[FIELD=VALUE,...]:PERCENT%",
            help="Fail if this metric (fastest, median, p99 ..., cold_start, peak_memory) of a "
            "cell, or of those with these fields, is slower by so much or more; repeatable. What "
            "gates name is compared, without gates fastest runs and percentiles of latencies.",
            show_default="none",
        ),
    ] = None,
    margin: Annotated[
        str, typer.Option(metavar="PERCENT%", help="Changes within it count as none.")
    ] = "5%",
    allow: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help=f"What may differ, separated by commas: {', '.join(comparability.ALLOWABLE)}.",
            show_default="nothing",
        ),
    ] = "",
    require_conclusive: Annotated[
        bool,
        typer.Option(
            "--require-conclusive",
            help="Exit with 4 if a gate, or without gates any verdict, is left open.",
        ),
    ] = False,
    format: Annotated[
        str, typer.Option(help=f"One of {', '.join(FORMATS)}.", callback=one_of(FORMATS))
    ] = "table",
) -> None:
    """Compare the results of two versions, each measured in several sessions.

    A change counts only if it is larger than sessions of one version differ: 4 sessions a side
    are the fewest that can show one. Exit status: 0 no gate failed, 1 one did, 2 wrong usage or a
    file that is none, 3 not comparable, 4 not conclusive though that was required.
    """
    width = _percent("--margin", margin)
    gates = [gate.parse_gate(text, width) for text in dict.fromkeys(fail_on or ())]
    allowed = comparability.parse_allowed(allow)
    found = difference(document.read(base), document.read(new), gates, width, allowed)
    code = found.exit_code(require_conclusive)
    if format == "json":
        print(report.to_json(found, code), end="")
    elif format == "md":
        print(report.to_markdown(found), end="")
    else:
        report.show(found, terminal.output())
    raise typer.Exit(code)


def _percent(option: str, text: str) -> float:
    try:
        return gate.parse_percent(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None
