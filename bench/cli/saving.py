"""How a result is saved once it has been shown: where it was asked for, or else somewhere."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from bench.files import temporary
from bench.files.output import OutputFile

EXIT_UNSAVED = 2
"""Exit status of a command whose result is not where it was asked for."""


def save(output: OutputFile | None, content: bytes, again: bool = False) -> int:
    """Writes the result, if it was asked for; EXIT_UNSAVED if it is elsewhere now, else 0.

    Where it is, or that it is nowhere, is said then. What can be made `again`, from files, is no
    loss where the reader of a pipe has had enough of it: that is 0 too.
    """
    if output is None:
        return 0
    try:
        output.write(content)
        return 0
    except (OSError, KeyboardInterrupt) as error:
        if again and isinstance(error, BrokenPipeError):
            return 0
        reason = error.strerror if isinstance(error, OSError) else "interrupted"
    print(
        f"cnn-bench: cannot write {output}: {reason}; {keep(content, Path(output.name).suffix)}",
        file=sys.stderr,
    )
    return EXIT_UNSAVED


def keep(content: bytes, suffix: str = ".json") -> str:
    """Writes the result into the folder of temporary files instead, and says where it is."""
    try:
        descriptor, name = tempfile.mkstemp(suffix, "cnn-bench-result-", temporary.place())
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        return f"nor can {temporary.place()} take it: {error.strerror}"
    return f"the result is in {name}"
