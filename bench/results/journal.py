"""What has been measured so far, on disk while more is: nothing is lost with the process.

A JSON object a line, each appended as soon as it is known; `table` says of what:
session    the first line: `format`, `format_version`, `session_id`, and the result's context
backend    a backend as it was started, then as it was checked: the fields of BackendRecord
           (bench/results/result.py)
cell       a cell once its output was checked: the fields of Benchmark there
turn       timed runs of a cell: the fields of Turn (bench/workers/turn.py), `round`, `order` among
           all turns, and `start_s` since the first one began; without times, how it failed
Of a process that was killed the last line may be cut short.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.files import temporary
from bench.files.output import OutputFile
from bench.results.result import finite

FORMAT, FORMAT_VERSION = "cnn-bench/journal", 1


class Journal:
    """The journal of one session, beside the file that its result will be written to.

    Where that is no regular file, or cannot have one beside it, it is in the folder of temporary
    files. It is made by the first line that follows the session's.
    """

    def __init__(self, result: OutputFile | None, context: Mapping[str, Any]) -> None:
        self._session_id = secrets.token_hex(8)
        file = None if result is None else result.replaced
        self._beside = [*([file] if file else []), temporary.place() / "cnn-bench"]
        self._session = context
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._failed = False
        self._kept = False

    def append(self, table: str, fields: Mapping[str, Any]) -> None:
        """Adds a line. A disk that refuses ends the journal, which is said, and nothing else."""
        if self._failed:
            return
        try:
            if self._descriptor is None:
                self._create()
                opening = {"format": FORMAT, "format_version": FORMAT_VERSION}
                opening |= {"session_id": self._session_id, "context": self._session}
                self._write("session", opening)
            self._write(table, fields)
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
            self._path = start.with_name(f"{start.name}.{self._session_id}.journal")
            try:
                flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY
                self._descriptor = os.open(self._path, flags, 0o600)
                return
            except OSError:
                if start is self._beside[-1]:
                    raise

    def _write(self, table: str, fields: Mapping[str, Any]) -> None:
        assert self._descriptor is not None
        line = json.dumps(finite({"table": table, **fields}), allow_nan=False).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]
