"""`cnn-bench check`: whether results are fit to be published."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.options import FilesArgument
from bench.results import checking, document, merging
from bench.results.results import Results
from bench.text.figures import counted
from columnar_nn.errors import InvalidDataError, printable

EXIT_UNFIT, EXIT_NOT_COMPARABLE = 1, 3


def check(files: FilesArgument) -> None:
    """Say what is wrong with results before they are published.

    Exit status: 0 nothing, 1 something is incomplete, was run too few times or failed, 2 wrong
    usage or a file that is none, 3 nothing of this, but they cannot be compared with each other.
    """
    parts = [document.read(file) for file in files]
    unfit = [line for file, p in zip(files, parts, strict=True) for line in _problems(file, p)]
    try:
        differences = [*checking.differences(merging.merged(parts))]
    except merging.ContradictionError as error:
        differences = [str(error)]
    for line in (*unfit, *(f"not comparable: {line}" for line in differences)):
        print(printable(line))
    if unfit:
        raise typer.Exit(EXIT_UNFIT)
    if differences:
        raise typer.Exit(EXIT_NOT_COMPARABLE)
    sessions = counted(sum(len(part["session"]) for part in parts), "session")
    print(f"{sessions}: complete, comparable, and every output that was compared passed")


def _problems(file: Path, results: Results) -> list[str]:
    try:
        return [f"{file}: {line}" for line in checking.problems(results)]
    except InvalidDataError as error:
        raise InvalidDataError(f"{file}: {error}") from None
