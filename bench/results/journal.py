"""What has been measured so far, on disk while more is: nothing is lost with the process.

The rows of results (bench/results/schema.py), a JSON object a line, each appended as soon as it is
known; `table` says of what. The session's comes first, and has `format` and `format_version`, too.
A row that is written again, as more became known, replaces the one before. Of a process that was
killed the last line may be cut short. bench/results/document.py reads it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from bench.files import temporary
from bench.files.output import OutputFile
from bench.results.document import SUFFIX, to_line
from bench.results.schema import FORMAT, FORMAT_VERSION, Row
from bench.results.session import Session


class Journal:
    """The journal of one session, beside the file that its result will be written to.

    Where that is no regular file, or cannot have one beside it, it is in the folder of temporary
    files. It is made by the first row that follows the session's and the machine's.
    """

    def __init__(self, result: OutputFile | None, session: Session) -> None:
        file = None if result is None else result.replaced
        self._beside = [*([file] if file else []), temporary.place() / "cnn-bench"]
        self._session = session
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._failed = False
        self._kept = False

    def append(self, table: str, row: Row) -> None:
        """Adds a row. A disk that refuses ends the journal, which is said, and nothing else."""
        if self._failed:
            return
        try:
            if self._descriptor is None:
                self._create()
                opening = {"format": FORMAT, "format_version": FORMAT_VERSION}
                self._write("session", opening | self._session.opening())
                self._write("machine", self._session.machine)
            self._write(table, row)
            self._kept = True
        except OSError as error:
            self._failed = True
            if self._path is not None and not self._kept:
                self.remove()  # it has not even its first line
            lost = f"{error.strerror}; what is measured is only in memory from now on"
            print(f"cnn-bench: {self._path}: {lost}", file=sys.stderr)

    def notice(self) -> str:
        """Where a user finds what was measured; empty if nothing was."""
        if self._path is None or not self._path.exists():
            return ""
        begun = "the beginning of " if self._failed else ""
        return f"{begun}what was measured is in {self._path}"

    def remove(self) -> None:
        """Deletes it: all it holds is elsewhere."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _create(self) -> None:
        for start in self._beside:
            self._path = start.with_name(f"{start.name}.{self._session.id}{SUFFIX}")
            try:
                flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY
                self._descriptor = os.open(self._path, flags, 0o600)
                return
            except OSError:
                if start is self._beside[-1]:
                    raise

    def _write(self, table: str, row: Row) -> None:
        assert self._descriptor is not None
        line = to_line(table, row)
        while line:
            line = line[os.write(self._descriptor, line) :]
