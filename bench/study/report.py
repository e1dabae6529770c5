"""A study on the terminal: its plan before it runs, and what it found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from bench.compare.comparison import ROUNDS
from bench.machine.disturbance import DISTURBED_SHARE
from bench.results.results import Results
from bench.study import findings
from bench.study.findings import Figure
from bench.study.plan import Entrant, Plan
from bench.study.prediction import Prediction, Predictor
from bench.text.caveats import show_narrow
from bench.text.figures import counted, milliseconds
from bench.text.table_style import print_table, show_note, show_title, table
from bench.verdict.status import NOT_RUN, PASSED

_MOST_ROWS = 40
"""Of the plan's table; of a longer plan the first are shown."""


def show_plan(
    plan: Plan, done: Sequence[set[str]], predictor: Predictor, console: Console
) -> Prediction:
    """Prints what is to be measured, what is done, and how long the rest will take; that time."""
    study = plan.study
    prediction = predictor.of(plan, done)
    cut = ["partitions"] if any(e.options.partitions for e in plan.entrants) else []
    made = table("process", "PxT", *cut, "batch", "images", "predicted")
    for entrant in plan.entrants[:_MOST_ROWS]:
        options = entrant.options
        made.add_row(
            escape(f"{entrant.selection.label} on {entrant.network.graph.name}"),
            options.shape,
            *(str(options.partitions or "-") for _ in cut),
            f"{options.batch_size:,}",
            _span(sorted(entrant.cells)),
            "not run" if entrant.unfit else _pending(entrant, plan, done, predictor),
        )
    show_title(console, f"Study {study.hash}")
    print_table(console, made)
    if len(plan.entrants) > _MOST_ROWS:
        show_note(console, f"and {len(plan.entrants) - _MOST_ROWS:,} more")
    show_note(console, "PxT: processes x threads of each.")
    total, ended = len(plan.cells) * study.sessions, sum(map(len, done))
    sessions = counted(study.sessions, "session")
    console.print(
        f"{counted(len(plan.cells), 'cell')}, {sessions} of {ROUNDS} rounds in random order of "
        f"seed {study.order_seed}; {ended:,} of {total:,} done",
        highlight=False,
    )
    for reason in dict.fromkeys(entrant.unfit for entrant in plan.entrants if entrant.unfit):
        console.print(f"[yellow]not run:[/] {escape(reason)}", highlight=False)
    judged = (
        "a guess: nothing like it has been measured here"
        if not prediction.known
        else f"judged by earlier times of {prediction.known:,} of {prediction.cells:,} cells"
    )
    if prediction.seconds:
        console.print(
            f"predicted: {_seconds(prediction.seconds)} with the reference outputs ({judged})",
            highlight=False,
        )
    return prediction


def show(results: Results, console: Console) -> None:
    """Prints every cell's figures, network by network, and the conclusions."""
    found = findings.figures(results)
    by_model: dict[str, list[Figure]] = defaultdict(list)
    for figure in found:
        by_model[figure.model].append(figure)
    for model, rows in by_model.items():
        show_title(console, model)
        columns = [name for name in _COLUMNS if name not in _TOLD_APART or _varies(name, rows)]
        made = table("backend:configuration", *columns)
        for row in sorted(rows, key=_place):
            cells = _cells(row)
            made.add_row(escape(row.engine), *(cells[name] for name in columns))
        print_table(console, made, ("status", "images/s"), names=2 + columns.index("images"))
    show_note(
        console,
        "PxT: processes x threads of each. ±: half of the interval that holds the true median. "
        "MiB: the largest resident memory of all processes together."
        + (_BALANCE if any(figure.balance for figure in found) else "")
        + (_DISTURBED if any(figure.disturbed for figure in found) else ""),
    )
    subjects = results["subject"]
    show_narrow(
        console, [(f"{s['backend']}:{s['configuration']}", s["precision"]) for s in subjects]
    )
    for status, reason in dict.fromkeys((f.status, f.reason) for f in found if f.reason):
        same = [f for f in found if (f.status, f.reason) == (status, reason)]
        names = ", ".join(dict.fromkeys(f"{f.engine} {f.shape} on {f.samples:,}" for f in same))
        console.print(f"{escape(names)}: [yellow]{status}[/] {escape(reason)}", highlight=False)
    lines = [*findings.conclusions(found)]
    if lines:
        show_title(console, "Conclusions")
    for line in lines:
        console.print(escape(line), highlight=False)


_COLUMNS = (
    *("PxT", "partitions", "batch", "images", "ms", "±", "images/s", "MiB", "balance"),
    *("sessions", "status"),
)
_TOLD_APART = ("partitions", "batch", "balance", "sessions", "status")
"""Columns that are left out where they say nothing."""

_DISTURBED = f" *: others took over {DISTURBED_SHARE:.0%} of its time: its median says little."
_BALANCE = " balance: what the processes' parts of a run took in the mean over the longest."


def _place(figure: Figure) -> tuple[object, ...]:
    time = figure.time.median if figure.time else float("inf")
    return figure.samples, figure.batch_size, figure.partitions, time


def _varies(column: str, rows: Sequence[Figure]) -> bool:
    """Whether a column says anything: of what was not run there is a line below, and no time."""
    if column == "status":
        return any(row.status not in (PASSED, NOT_RUN) for row in rows)
    if column == "batch":
        largest = max(row.batch_size for row in rows)
        return any(row.batch_size != min(row.samples, largest) for row in rows)
    return len({_cells(row)[column] for row in rows}) > 1


def _cells(figure: Figure) -> dict[str, str]:
    time = figure.time
    return {
        "PxT": figure.shape,
        "partitions": figure.partitions or "-",
        "batch": f"{figure.batch_size:,}",
        "images": f"{figure.samples:,}",
        "ms": f"{milliseconds(time.median)}{'*' if figure.disturbed else ''}" if time else "-",
        "±": milliseconds((time.high - time.low) / 2) if time else "-",
        "images/s": f"{figure.samples / time.median:,.0f}" if time else "-",
        "MiB": f"{figure.rss_bytes / 2**20:,.0f}" if figure.rss_bytes else "-",
        "balance": f"{figure.balance:.0%}" if figure.balance else "-",
        "sessions": f"{figure.sessions}",
        "status": escape(figure.status),
    }


def _pending(entrant: Entrant, plan: Plan, done: Sequence[set[str]], predictor: Predictor) -> str:
    """What is left of one process in all sessions."""
    left = [[n for n, cell in entrant.cells.items() if cell not in known] for known in done]
    seconds = [predictor.seconds(entrant, n, plan.study.limits) for n in left if n]
    return _seconds(sum(seconds)) if seconds else "done"


def _span(counts: Sequence[int]) -> str:
    shown = [f"{count:,}" for count in counts]
    return ", ".join(shown if len(shown) <= 4 else [*shown[:2], "..", shown[-1]])


def _seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
