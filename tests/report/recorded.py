"""Results of `compare`, `profile`, `engine` and `backends`, measured once, for tests."""

from __future__ import annotations

from pathlib import Path

from bench.report.figures import Figures, figures
from bench.results import document, merging
from bench.results.results import Results

FOLDER = Path(__file__).parent / "data"
COMPARE, PROFILE, ENGINE, EASE = (
    FOLDER / f"{name}.json" for name in ("compare", "profile", "engine", "ease")
)


def recorded(*files: Path) -> Results:
    """The results of these files as one."""
    return merging.merged([document.read(file) for file in files])


def figures_of(*files: Path) -> Figures:
    """What a report of these files shows."""
    return figures(recorded(*files))
