"""Standard output and standard error, of which neither can end a command."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


class _Stream(io.TextIOWrapper):
    """What cannot be written is dropped, from then on everything; `lost` is why.

    So a reader that has gone, `head` perhaps, a terminal that was closed or a full disk cost the
    tables, and not the results that are still to be saved. What the encoding lacks is escaped.
    """

    lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = self.lost or error
        # What is still in the buffer goes there, so that no later flush fails again.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def install() -> None:
    """Replaces sys.stdout and sys.stderr, also where the command was started without them.

    Not those that a program has put in their place, as pytest does. A standard input that was
    closed is an empty one.
    """
    for descriptor in (0, 1, 2):
        _ensure_open(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, 2)


def failure() -> str:
    """Why what was shown did not arrive; empty if it did, or if its reader had enough of it."""
    sys.stdout.flush()
    lost = getattr(sys.stdout, "lost", None)
    return "" if lost is None or isinstance(lost, BrokenPipeError) else str(lost.strerror)


def _ensure_open(descriptor: int) -> None:
    """A closed one would be given to the next file that is opened, and be printed into."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)


def _stream(stream: TextIO | None, descriptor: int) -> TextIO:
    if isinstance(stream, io.TextIOWrapper):
        encoding, line_buffering = stream.encoding, stream.line_buffering
        buffer = stream.detach()
    else:  # None, if it was closed
        encoding, line_buffering = "utf-8", True
        buffer = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    return _Stream(
        buffer,
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=line_buffering or descriptor == 2,
    )
