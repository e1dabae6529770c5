"""The journal of a session of a study: it can be gone on with, and is the session's only record.

The format is that of bench/results/journal.py. Here a row that cannot be written is an error: what
is measured and not kept would be measured in vain. Whoever writes one holds a lock on it, which
ends with the process.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from bench.files.output import OutputFile
from bench.results import document
from bench.results.document import to_json, to_line
from bench.results.results import Results
from bench.results.schema import FORMAT, FORMAT_VERSION, OBSERVATION, Row

OPENING_ROWS = 2
"""With which a journal begins: those of the session and of its machine."""


class StudyJournal:
    """An open journal; every method that writes raises OSError, with the file's name, if it cannot.

    At the end of a turn its times are written, after all else that is known of it: a turn has
    been done if they are there.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path, rows: Iterable[tuple[str, Row]]) -> StudyJournal:
        """A new one, which begins with a session's and a machine's row."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        journal = cls(path, descriptor)
        opening = {"format": FORMAT, "format_version": FORMAT_VERSION}
        journal.append(
            (table, opening | dict(r) if n == 0 else r) for n, (table, r) in enumerate(rows)
        )
        return journal

    @classmethod
    def reopen(cls, path: Path) -> StudyJournal | None:
        """One that was left behind, without the line that its process did not finish.

        None if another process writes it, or has just closed it.
        """
        descriptor = os.open(path, os.O_APPEND | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if not path.exists():
            os.close(descriptor)
            return None
        os.truncate(descriptor, path.read_bytes().rfind(b"\n") + 1)
        return cls(path, descriptor)

    def append(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Adds rows, those of times last."""
        ordered = sorted(rows, key=_is_time)
        content = b"".join(to_line(table, row) for table, row in ordered)
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def results(self) -> Results:
        """What it says by now."""
        return document.read(self.path)

    def become_document(self) -> Path:
        """Writes the document beside it, of the same name, and deletes it; the document's path."""
        target = self.path.with_suffix(".json")
        try:
            OutputFile(str(target)).write(to_json(self.results()))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from None
        self.path.unlink()
        self.close()
        return target

    def close(self) -> None:
        """Lets go of it, and leaves it as it is."""
        os.close(self._descriptor)


def _is_time(named: tuple[str, Row]) -> bool:
    table, row = named
    return table == OBSERVATION.name and row["metric"] == "time"
