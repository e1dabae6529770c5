"""Who may have written a file. What is run, or trusted without a look, is the user's or root's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

WRITABLE, OPEN = 0o022, 0o077
"""Bits of a mode that others must not have: to write, or to do anything at all."""


class UntrustedError(Exception):
    """A file, or a folder on the way to it, that somebody else may have written: which and why."""


def read(path: Path, top: Path, forbidden: int = WRITABLE) -> bytes:
    """The content of `path`; neither it nor a folder from `top` down to it is another's.

    Raises UntrustedError if one belongs to neither the user nor root or is writable by others (of
    the file: has any bit of `forbidden`), and OSError if there is no such regular file. What is
    checked of the file is what is read.
    """
    check_folders(path.parent, top)
    # without waiting, as a FIFO would have it
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(f"{path} is no file")
        _check(path, status, forbidden)
        return file.read()


def check_folders(folder: Path, top: Path) -> None:
    """Raises UntrustedError if another may write to `folder` or one above it, up to `top`."""
    path = top
    _check(path, path.stat(), WRITABLE)
    for part in folder.relative_to(top).parts:
        path /= part
        _check(path, path.stat(), WRITABLE)


def _check(path: Path, status: os.stat_result, forbidden: int) -> None:
    if os.name != "posix":
        return
    if status.st_uid not in (0, os.geteuid()):
        raise UntrustedError(f"{path} belongs to user {status.st_uid}, neither to you nor to root")
    others = stat.S_IMODE(status.st_mode) & forbidden
    if others:
        bits = "go-rwx" if forbidden == OPEN else "go-w"
        raise UntrustedError(f"{path} is open to others: chmod {bits}, or delete it")
