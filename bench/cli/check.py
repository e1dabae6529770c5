"""`cnn-bench check`: whether results are fit to be published."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import typer

from bench.cli.options import FilesArgument, StrictOption
from bench.results import checking, document, merging
from bench.results.results import Results
from bench.text.figures import counted
from columnar_nn.errors import InvalidDataError, printable

EXIT_UNFIT, EXIT_NOT_COMPARABLE = 1, 3


def check(files: FilesArgument, *, strict: StrictOption = False) -> None:
    """Say what is wrong with results before they are published.

    Exit status: 0 nothing, 1 something is incomplete, was run too few times for no budget, or
    failed, or of a strict session was disturbed, 2 wrong usage or a file that is none, 3 nothing of
    this, but they cannot be compared with each other.
    """
    parts = [document.read(file) for file in files]
    unfit = _lines(files, parts, partial(checking.problems, strict=strict))
    notes = _lines(files, parts, checking.notes)
    try:
        differences = [*checking.differences(merging.merged(parts))]
    except merging.ContradictionError as error:
        differences = [str(error)]
    found = (*(f"note: {line}" for line in notes), *unfit)
    for line in (*found, *(f"not comparable: {line}" for line in differences)):
        print(printable(line))
    if unfit:
        raise typer.Exit(EXIT_UNFIT)
    if differences:
        raise typer.Exit(EXIT_NOT_COMPARABLE)
    sessions = counted(sum(len(part["session"]) for part in parts), "session")
    print(f"{sessions}: complete, comparable, and every output that was compared passed")


def _lines(
    files: Iterable[Path], parts: Iterable[Results], of: Callable[[Results], Iterable[str]]
) -> list[str]:
    """What there is to say of each file, after its name."""
    found = []
    for file, results in zip(files, parts, strict=True):
        try:
            found += [f"{file}: {line}" for line in of(results)]
        except InvalidDataError as error:
            raise InvalidDataError(f"{file}: {error}") from None
    return found
