"""Temporary files and folders, of which a killed process leaves none for good.

Whoever makes one holds a lock on it (flock, which ends with the process, however that ends). The
next one to be made in the same folder first deletes those of the same user that are named so and
that nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"\.?cnn-bench-\d+-[0-9a-f]{12}\.tmp")
"""The number is that of the process, for a reader of the folder."""


def place() -> Path:
    """The user's folder of temporary files, absolute: workers start elsewhere."""
    return Path(tempfile.gettempdir()).absolute()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A private folder in the folder of temporary files; gone at the end of the block."""
    with _new(place(), "", 0o700, is_folder=True) as path:
        yield path


@contextmanager
def file_beside(target: Path) -> Iterator[Path]:
    """An empty file in the folder of `target`, to be renamed to it; gone at the end otherwise."""
    with _new(target.parent, ".", 0o666, is_folder=False) as path:
        yield path


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A folder beside `target`, to be renamed to it; gone at the end otherwise."""
    with _new(target.parent, ".", 0o777, is_folder=True) as path:
        yield path


@contextmanager
def _new(parent: Path, prefix: str, mode: int, is_folder: bool) -> Iterator[Path]:
    """A new locked file or folder, its mode as the umask lets it; raises OSError."""
    _remove_stale(parent)
    lock = None
    while lock is None:
        path = parent / f"{prefix}cnn-bench-{os.getpid()}-{secrets.token_hex(6)}.tmp"
        if is_folder:
            path.mkdir(mode)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        lock = _locked(path)
    try:
        yield path
    finally:
        _remove(path)
        os.close(lock)


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock; None if another process took it for stale before that."""
    descriptor = os.open(path, os.O_RDONLY)
    # Where a file system has no locks, nothing is found stale either.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if path.exists():
        return descriptor
    os.close(descriptor)
    return None


def _remove_stale(parent: Path) -> None:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_stale(entry)


def _remove_if_stale(entry: os.DirEntry[str]) -> None:
    if entry.is_symlink() or entry.stat(follow_symlinks=False).st_uid != os.geteuid():
        return
    if not (entry.is_dir() or entry.is_file()):
        return
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(Path(entry.path))
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Deletes it, unless it has been renamed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
