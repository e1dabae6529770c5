"""What a command shows: its tables, and while it measures, a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.output_file import OutputFile
from bench.table_style import WIDTH


def stream(*outputs: OutputFile | None) -> TextIO:
    """Standard output; standard error if a file that the command writes goes to the former."""
    taken = any(output is not None and output.is_standard_output for output in outputs)
    return sys.stderr if taken else sys.stdout


def output(*outputs: OutputFile | None) -> Console:
    """That stream: as wide as the terminal, and WIDTH where there is none."""
    file = stream(*outputs)
    return Console(file=file, width=None if file.isatty() else WIDTH)


@contextmanager
def progress() -> Iterator[Callable[[int, int, str], None]]:
    """A bar on a terminal only, drawn between measurements and never during one.

    Yields what moves it: (done, total, what is being done).
    """
    console = Console(stderr=True)
    with Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total, description=doing, refresh=True)

        yield show
