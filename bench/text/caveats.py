"""What a reader must know before the figures: warnings, and notes of how they came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from bench.machine.disturbance import DISTURBED_SHARE
from bench.text.table_style import show_note
from bench.verdict.precision import BFLOAT16

NOTES = ("precision_note", "batch_note", "quick_note")
"""Settings that are notes: in which type a file is computed, how a network tied to a batch size was
run, what was left out."""


def show_caveat(console: Console, kind: str, text: str) -> None:
    """A line that begins with its `kind`, "note" or "warning"."""
    console.print(f"[yellow]{kind}:[/] {escape(text)}", highlight=False)


def show_caveats(console: Console, context: Mapping[str, Any]) -> None:
    """The notes among the settings of a result's context, and its warnings."""
    for name in NOTES:
        if note := context["settings"].get(name):
            show_caveat(console, "note", note)
    for warning in context["warnings"]:
        show_caveat(console, "warning", warning)


def show_disturbed(console: Console) -> None:
    """What the mark * of a figure says of the run that it is of."""
    show_note(console, f"* others took over {DISTURBED_SHARE:.0%} of the time: it says little")


def show_narrow(console: Console, precisions: Iterable[tuple[str, str | None]]) -> None:
    """Which engines, by their labels, computed in less than float32, by their own account."""
    narrow = dict.fromkeys(label for label, precision in precisions if precision == BFLOAT16.name)
    if narrow:
        names = escape(", ".join(narrow))
        show_note(console, f"computed in {BFLOAT16.name}, not in float32: {names}")
