"""The one folder of what can be made again: a sub-folder for each kind, files written whole.

`$CNN_BENCH_CACHE_DIR` names the root, else it is `cnn-bench` in the user's cache folder. Anything
else that lies there is never touched: `clear` deletes by each kind's own pattern only.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CNN_BENCH_CACHE_DIR"
"""This environment variable names another root."""

KINDS = {"kernels": "*/*.kernel", "import-checks": "*.import-check"}
"""Sub-folder of each kind, and the pattern of its files in there."""

_UNFINISHED = ".part"


@dataclass(frozen=True)
class Contents:
    """What the cache holds of one kind: its sub-folder, number of files, their bytes."""

    kind: str
    num_files: int
    num_bytes: int


def root() -> Path:
    """The folder of all kinds; it may not exist yet."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "cnn-bench"


def read(kind: str, name: str) -> bytes | None:
    """The stored file `name`, a path below the kind's folder; None if there is none."""
    try:
        return (root() / kind / name).read_bytes()
    except OSError:
        return None


def write(kind: str, name: str, content: bytes) -> None:
    """Stores a file for later processes; silently does not where the disk refuses.

    It is written beside its place and renamed into it, so that no process reads half of one.
    """
    path = root() / kind / name
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=path.name, suffix=_UNFINISHED
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise


def info() -> tuple[Contents, ...]:
    """Counts what each kind holds."""
    return tuple(_contents(kind) for kind in KINDS)


def clear() -> tuple[Contents, ...]:
    """Deletes the files of every kind, and their folders if empty then; returns what there was.

    Processes running now keep what they have read.
    """
    found = info()
    for kind in KINDS:
        for file in [*_files(kind), *_files(kind, unfinished=True)]:
            # The folders above refuse as soon as one of them still holds anything.
            with contextlib.suppress(OSError):
                file.unlink()
                file.parent.rmdir()
                if file.parent != root() / kind:
                    (root() / kind).rmdir()
    return found


def _contents(kind: str) -> Contents:
    sizes = []
    for file in _files(kind):
        with contextlib.suppress(OSError):  # another process clears the cache
            sizes.append(file.stat().st_size)
    return Contents(kind, len(sizes), sum(sizes))


def _files(kind: str, unfinished: bool = False) -> Iterator[Path]:
    pattern = KINDS[kind] + (f"*{_UNFINISHED}" if unfinished else "")
    return (file for file in (root() / kind).glob(pattern) if file.is_file())
