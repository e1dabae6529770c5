"""How a cell, or a whole backend, ended."""

from __future__ import annotations

from collections.abc import Iterable

PASSED = "PASSED"
FAILED = "FAILED"
"""The output is wrong (bench/verdict/rule.py)."""
MISTRUSTED = "MISTRUSTED"
"""The output is as it should be, but the model says nothing on these images: any backend's would
be. Or there is no reference to compare with, which the result as a whole does not forgive."""
MISREAD = "MISREAD"
"""The import of the model differs from its file: every backend would run another network."""
SKIPPED = "SKIPPED"
"""The backend's package is not installed."""
UNIMPLEMENTED = "UNIMPLEMENTED"
"""The backend lacks an operator of the model, or cannot run such a network at all."""
CRASHED = "CRASHED"
"""The backend raised an exception, or its process died."""
TIMEOUT = "TIMEOUT"
"""The backend did not answer in time."""
NOT_RUN = "NOT RUN"
"""The cell would have exceeded its time budget, or the run ended before it."""

UNSUCCESSFUL = (MISREAD, CRASHED, TIMEOUT, FAILED)
"""What makes a comparison fail as a whole."""

STATUSES = (*UNSUCCESSFUL, MISTRUSTED, UNIMPLEMENTED, SKIPPED, PASSED, NOT_RUN)
"""All of them, the most severe one first; NOT RUN counts only if there is nothing else."""


def worst(statuses: Iterable[str]) -> str:
    """The most severe of the statuses; NOT RUN counts only if there is nothing else."""
    return min(statuses, key=STATUSES.index)
