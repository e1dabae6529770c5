"""Random queries, a hundred a seed, in Velox and in the columnar engine."""

from __future__ import annotations

from pathlib import Path

from velox.semantics import differences


def check(seed: int, folder: Path) -> str:
    """The first that differs."""
    return next(iter(differences(list(range(100 * seed, 100 * seed + 100)))), "")
