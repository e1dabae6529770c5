"""How far a command is, as whatever takes long tells it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Told the steps done, the steps in all, and what comes next."""


def silent(done: int, total: int, doing: str) -> None:
    """A Progress that shows nothing."""
