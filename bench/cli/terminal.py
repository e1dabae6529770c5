"""What a command shows: its tables, and while it works, a progress bar or a line now and then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich import progress as bars
from rich.console import Console

from bench.files.output import OutputFile
from bench.text.progress import Progress
from bench.text.table_style import WIDTH

LINE_S = 10.0
"""Seconds between lines about a command that goes on."""


def stream(*outputs: OutputFile | None) -> TextIO:
    """Standard output; standard error if a file that the command writes goes to the former."""
    taken = any(output is not None and output.is_standard_output for output in outputs)
    return sys.stderr if taken else sys.stdout


def output(*outputs: OutputFile | None) -> Console:
    """That stream: as wide as COLUMNS says, else as the terminal, and WIDTH where there is none."""
    file = stream(*outputs)
    columns = os.environ.get("COLUMNS", "")
    # Rich takes 0, by which some programs say that they do not know, and shows no text at all.
    known = int(columns) > 0 if columns.isdecimal() else file.isatty()
    return Console(file=file, width=None if known else WIDTH)


class Lines:
    """Says on standard error how far a command is, where there is no terminal for a bar.

    Nothing in the first LINE_S seconds, and no more than a line in as many.
    """

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()

    def say(self, done: str) -> None:
        """Prints how far it is, if it is time for a line."""
        now = time.monotonic()
        if now - self._last >= LINE_S:
            self._last = now
            print(f"cnn-bench: {now - self._started:.0f} s, {done}", file=sys.stderr, flush=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar on a terminal, elsewhere Lines: drawn between measurements and never during one.

    Yields what moves it: (done, total, what is being done).
    """
    console, lines = Console(stderr=True), Lines()
    with bars.Progress(
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("{task.description}"),
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total, description=doing, refresh=True)
            if not console.is_terminal:
                lines.say(f"{done:,} of {total:,}: {doing}")

        yield show
