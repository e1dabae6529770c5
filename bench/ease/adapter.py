"""How much code it takes to put a backend behind the common interface."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from adapters.base import Backend


def lines(backend: type[Backend]) -> int:
    """Lines of its own modules, without blank ones and those that hold a comment only."""
    found = 0
    for file in files(backend):
        stripped = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
        found += sum(bool(line) and not line.startswith("#") for line in stripped)
    return found


def files(backend: type[Backend]) -> Iterator[Path]:
    """Where the class is, and the modules beside that begin with its name, or in a package of it.

    What several adapters share is no one's own.
    """
    module = Path(inspect.getfile(backend))
    yield module
    yield from sorted({*module.parent.glob(f"{backend.name}_*.py")} - {module})
    yield from sorted((module.parent / backend.name).glob("*.py"))
