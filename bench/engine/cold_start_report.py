"""The table of cold starts, and how they compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape

from bench.engine.cold_start import OURS, PEER, WARM, ColdStart, ColdStarts
from bench.text.table_style import print_table, show_note, show_title, table

_PARTS = ("process_s", "import_s", "build_s", "first_inference_s", "cold_start_s", "cpu_s")


def show_cold_starts(part: ColdStarts, console: Console) -> None:
    """A row for each kind of start, and the ratio of the warm ones to ONNX Runtime's."""
    show_title(console, "Cold start in s, process start to first logits: medians")
    headings = ("process", "import", "build", "1st image", "total", "CPU", "range", "starts")
    made = table("engine, kernel cache", *headings)
    for kind in part.states:
        totals = _seconds(kind, "cold_start_s")
        made.add_row(
            f"{escape(kind.selection.backend)}{kind.cache and f', {kind.cache}'}",
            *(f"{np.median(_seconds(kind, name)):.3f}" for name in _PARTS),
            f"{min(totals):.2f}-{max(totals):.2f}",
            str(len(totals)),
        )
    print_table(console, made, ("starts", "process", "range"))
    ours, theirs = part.of(OURS.backend, WARM), part.of(PEER)
    if ours is not None and theirs is not None:
        _show_ratios(ours, theirs, console)
    if part.missing:
        show_note(console, escape(part.missing))


def _show_ratios(ours: ColdStart, theirs: ColdStart, console: Console) -> None:
    show_title(console, f"{ours.selection.backend}, {ours.cache}, over {theirs.selection.backend}")
    made = table("", "medians", "fastest starts")
    for name, text in (("cold_start_s", "wall time"), ("cpu_s", "CPU time")):
        made.add_row(text, *(_ratio(ours, theirs, name, one_of) for one_of in (np.median, min)))
    print_table(console, made)
    show_note(console, "below 1 the columnar engine is there first. CPU: of all of its threads.")


def _ratio(
    ours: ColdStart, theirs: ColdStart, name: str, one_of: Callable[[Sequence[float]], float]
) -> str:
    return f"{one_of(_seconds(ours, name)) / one_of(_seconds(theirs, name)):.2f}"


def _seconds(kind: ColdStart, name: str) -> list[float]:
    return [start[name] for start in kind.starts]
