"""What a reader must know before the figures: warnings, and notes of how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

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
