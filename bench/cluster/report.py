"""What a run on a cluster came to, as tables; nothing here measures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape

from bench.cluster.compare import JVM, OTHER, Comparison
from bench.cluster.job import COUNT, Outcome
from bench.cluster.model import Model, Scale
from bench.cluster.session import Opened
from bench.text.figures import counted
from bench.text.table_style import print_table, show_note, show_title, table
from columnar_nn.errors import printable

FEW_IMAGES = 5_000
"""Of a split: a task costs about 0.2 s of CPU time whatever is in it, as much as 600 of plain9."""

_MOST_GROUPS = 20

_PARTS = {
    "read": "Python worker: rows from Spark as Arrow",
    "prepare": "Python worker: packages, network prepared, once each",
    "input": "Python worker: images as tensors",
    "compute": "Python worker: kernels of the network",
    "output": "Python worker: outputs as columns",
    "write": "Python worker: rows to Spark as Arrow",
}


def show(outcome: Outcome, opened: Opened, console: Console) -> None:
    """Prints the groups, where the time went, the splits with advice, and the bad rows."""
    share = "" if outcome.correct is None else f", {outcome.correct:,} with their label's class"
    console.print(
        f"{outcome.rows:,} images in {outcome.seconds:.1f} s, "
        f"{outcome.rows / outcome.seconds:,.0f} images/s{share}; the session took "
        f"{opened.seconds:.1f} s to start",
        highlight=False,
    )
    _show_groups(outcome, console)
    if outcome.costs is not None:
        _show_costs(outcome, opened.cores, console)
    if outcome.bad:
        console.print(f"[bold red]{outcome.bad:,} row(s) without an image[/]", highlight=False)
        for key, error in outcome.bad_rows:
            console.print(f"  {escape(printable(str(key)))}: {escape(error)}", highlight=False)
        if outcome.bad > len(outcome.bad_rows):
            console.print(f"  and {outcome.bad - len(outcome.bad_rows):,} more", highlight=False)


def _show_groups(outcome: Outcome, console: Console) -> None:
    names = outcome.groups.column_names
    keys = names[: names.index(COUNT)]
    show_title(console, "Groups, the largest first")
    made = table(", ".join(keys), *names[len(keys) :])
    for row in outcome.groups.slice(0, _MOST_GROUPS).to_pylist():
        key = ", ".join(printable(str(row[name])) for name in keys)
        made.add_row(escape(key), *(f"{row[name] or 0:,}" for name in names[len(keys) :]))
    print_table(console, made)
    if outcome.groups.num_rows > _MOST_GROUPS:
        show_note(console, f"and {outcome.groups.num_rows - _MOST_GROUPS:,} more groups")


def _show_costs(outcome: Outcome, cores: int, console: Console) -> None:
    costs = outcome.costs
    assert costs is not None
    tasks = costs.tasks
    total = tasks.cpu_s + costs.worker_s
    show_title(console, "Where the CPU time of the tasks went")
    made = table("part", "s", "share", "us/image")
    parts = {"JVM: scan, filter, join, rows to and from Python": tasks.cpu_s}
    parts |= {_PARTS[name]: seconds for name, seconds in costs.parts.items()}
    for name, seconds in parts.items():
        made.add_row(
            name,
            f"{seconds:.2f}",
            f"{seconds / total:.0%}" if total else "",
            f"{seconds / outcome.rows * 1e6:,.0f}" if outcome.rows else "",
        )
    print_table(console, made)
    retried = f", {tasks.failed} of them failed and retried" if tasks.failed else ""
    show_note(
        console,
        f"{tasks.attempts} tasks{retried}, {tasks.run_s:.1f} s added up, {tasks.gc_s:.1f} s of it "
        "collecting garbage. Threads of the JVM outside tasks (compiler, garbage collector) are in "
        "none of this.",
    )
    images = outcome.rows / costs.splits if costs.splits else 0
    splits = counted(costs.splits, "split")
    console.print(f"{splits} with {images:,.0f} images each", highlight=False)
    if 0 < costs.splits < cores and images > FEW_IMAGES:
        console.print(
            f"advice: {splits} for {cores} cores, of which others had nothing to do: a split is a "
            f"row group at least; store smaller ones, of {FEW_IMAGES:,} images or more",
            highlight=False,
        )
    if 0 < images < FEW_IMAGES and costs.splits > 1:
        console.print(
            f"advice: fewer than {FEW_IMAGES:,} images a split, each of which has a fixed cost: "
            "store larger row groups and files, or raise them with --conf "
            "spark.sql.files.maxPartitionBytes=BYTES and --conf "
            "spark.sql.files.openCostInBytes=BYTES",
            highlight=False,
        )


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Prints images a second, CPU time an image by part, and whether every row is equal."""
    images = comparison.images
    console.print(f"{images:,} images; us an image, of the runs that took least CPU time")
    names = [way.name for way in comparison.ways]
    best = [min(way.turns, key=lambda turn: sum(turn.cpu.values())) for way in comparison.ways]
    show_title(console, "CPU time by part")
    made = table("part", *names)
    parts = {JVM: "JVM: threads of tasks", **_PARTS, OTHER: "besides: JVM's own threads, driver"}
    for part, text in parts.items():
        made.add_row(text, *(_each(turn.cpu.get(part), images) for turn in best))
    made.add_row("total", *(_each(sum(turn.cpu.values()), images) for turn in best))
    print_table(console, made)
    show_title(console, "Wall time")
    made = table("way", "runs", "fastest s", "median s", "images/s", "rows that differ")
    for way in comparison.ways:
        seconds = [turn.seconds for turn in way.turns]
        made.add_row(
            way.name,
            str(len(seconds)),
            f"{min(seconds):.2f}",
            f"{statistics.median(seconds):.2f}",
            f"{images / min(seconds):,.0f}",
            f"{way.differing:,}",
        )
    print_table(console, made)
    show_note(
        console,
        f"The session took {comparison.session_s:.1f} s to start, a query without a row "
        f"{comparison.final_s:.2f} s. images/s is of the fastest run. Rows are equal if every bit "
        "of their logits is.",
    )


def show_model(model: Model, times: Mapping[int, float], scale: Scale, console: Console) -> None:
    """Prints the terms, and the time that they predict for each number of executors."""
    console.print(
        f"A model, not a measurement: {scale.images:,} images in {scale.splits:,} splits on N "
        f"executors of {scale.cores} core(s)\n"
        "T = session + prepare + ceil(splits / cores in all) (task + images / splits (row + "
        "network)) + final",
        highlight=False,
    )
    show_title(console, "Its terms, by the fastest runs measured")
    made = table("term", "value", "unit")
    for name, seconds in vars(model).items():
        an_image = name in ("row", "network")
        made.add_row(
            name, f"{seconds * (1e6 if an_image else 1):.4g}", "us/image" if an_image else "s"
        )
    print_table(console, made)
    show_title(console, "What it predicts")
    made = table("executors", "T in s", "images/s", "waves", "of linear")
    first = min(times)
    for executors, seconds in times.items():
        made.add_row(
            f"{executors:,}",
            f"{seconds:,.1f}",
            f"{scale.images / seconds:,.0f}",
            f"{-(-scale.splits // (executors * scale.cores)):,}",
            f"{times[first] * first / (seconds * executors):.0%}",
        )
    print_table(console, made)


def _each(seconds: float | None, images: int) -> str:
    return "" if seconds is None else f"{seconds / images * 1e6:,.1f}"
