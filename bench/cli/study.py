"""`cnn-bench study`: sweeps that are kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.options import ImportCheckOption, LabelOption, StrictOption
from bench.cli.studying import OnlyOption, RerunOption, ShardOption, found, measure, planned
from bench.difference import comparability, report
from bench.difference.difference import difference
from bench.results import merging
from bench.study import file as files
from bench.study.plan import Plan, make
from bench.study.recorded import recorded
from bench.text.table_style import print_table, table
from bench.verdict.status import UNSUCCESSFUL

MARGIN = 0.05
"""Changes of a replayed study within it count as none."""

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The study, a TOML file.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of the results; what is in it is not repeated.",
        show_default="FILE without its suffix, and -results",
    ),
]


@app.command()
def init(file: FileArgument) -> None:
    """Write a study to begin with, every line explained."""
    files.write_template(file)
    print(f"{file}: change it, then: cnn-bench study plan {file}")


@app.command("plan")
def show_plan(
    file: FileArgument, only: OnlyOption = None, shard: ShardOption = "", out: OutOption = None
) -> None:
    """Show what would be measured, and how long it will take."""
    planned(make(files.read(file), only or (), shard), _folder(file, out))


@app.command()
def run(
    file: FileArgument,
    only: OnlyOption = None,
    shard: ShardOption = "",
    rerun: RerunOption = False,
    import_check: ImportCheckOption = True,
    strict: StrictOption = False,
    label: LabelOption = None,
    out: OutOption = None,
) -> None:
    """Measure what is not done yet, from wherever it was interrupted.

    Shows the plan first. Exit status as of cnn-bench sweep.
    """
    plan = make(files.read(file), only or (), shard)
    folder = _folder(file, out)
    raise typer.Exit(measure(plan, folder, "study", import_check, strict, label, rerun=rerun))


@app.command()
def status(
    file: FileArgument, only: OnlyOption = None, shard: ShardOption = "", out: OutOption = None
) -> None:
    """Show what is done of it, what failed, and how long the rest takes."""
    plan = make(files.read(file), only or (), shard)
    records = planned(plan, _folder(file, out))
    made = table("session", "cells done", "of", "failed", "file", "state")
    for record in records.ours:
        cells = [row for row, _ in record.cells.values()]
        made.add_row(
            str(record.number),
            str(len(record.ended(plan.study.limits) & plan.cells)),
            str(len(plan.cells)),
            str(sum(row["status"] in UNSUCCESSFUL for row in cells)),
            record.file.name,
            "to be gone on with" if record.is_open else "ended",
        )
    if made.rows:
        print_table(terminal.output(), made)


@app.command()
def replay(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="A study's folder, or a file of its results.")
    ],
    import_check: ImportCheckOption = True,
    strict: StrictOption = False,
    label: LabelOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the new results.", show_default="RESULTS and -replay"
        ),
    ] = None,
) -> None:
    """Measure a recorded study again; show what differs.

    That is machine, versions, and every figure as cnn-bench diff shows it. Exit status as of
    cnn-bench sweep: a difference is no failure, cnn-bench diff gates on it.
    """
    study, only, shard, before = recorded(results)
    plan: Plan = make(study, only, shard)
    stem = results.with_suffix("") if results.is_file() else results
    folder = out or stem.with_name(f"{stem.name}-replay")
    code = measure(plan, folder, "study", import_check, strict, label)
    if code != 0:
        raise typer.Exit(code)
    allowed = frozenset(comparability.ALLOWABLE)
    after = merging.merged([found(plan, folder)])
    report.show(difference(before, after, (), MARGIN, allowed), terminal.output())


def _folder(file: Path, out: Path | None) -> Path:
    return out or file.with_name(f"{file.stem}-results")
