"""The one folder of what can be made again: a sub-folder for each kind, files written whole.

`$CNN_BENCH_CACHE_DIR` names the root, else it is `cnn-bench` in the user's cache folder. Anything
else that lies there is never touched: `clear` deletes by each kind's own pattern only. Nothing is
read or written where somebody else may have put it (columnar_nn/settings/ownership.py); that is
said once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from columnar_nn.errors import UsageError
from columnar_nn.record import ValueRecord
from columnar_nn.settings import ownership, variables
from columnar_nn.settings.ownership import UntrustedError

KINDS = {
    "kernels": "*/*.kernel",
    "processors": "*.processor",
    "sources": "*.digest",
    "import-checks": "*.import-check",
    "keys": "*.key",
}
"""Sub-folder of each kind, and the pattern of its files in there. Keys are for the user alone."""

_UNFINISHED = ".part"


class Contents(ValueRecord):
    """What the cache holds of one kind: its sub-folder, number of files, their bytes."""

    kind: str
    num_files: int
    num_bytes: int


def root() -> Path:
    """The folder of all kinds, absolute; it may not exist yet.

    Raises UsageError where the environment names none and the user has no home.
    """
    chosen = variables.cache_dir()
    return chosen if chosen is not None else (_user_cache() / "cnn-bench").absolute()


def _user_cache() -> Path:
    given = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    if sys.platform != "darwin" and given and Path(given).is_absolute():
        return Path(given)
    try:
        home = Path.home()
    except RuntimeError:
        raise UsageError(f"there is no home folder: set HOME or {variables.CACHE_DIR}") from None
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return home / "AppData" / "Local" if sys.platform == "win32" else home / ".cache"


def read(kind: str, name: str) -> bytes | None:
    """The stored file `name`, a path below the kind's folder; None if there is none to trust."""
    try:
        top = root()
        forbidden = ownership.OPEN if kind == "keys" else ownership.WRITABLE
        return ownership.read(top / kind / name, top, forbidden)
    except OSError:
        return None
    except UntrustedError as error:
        _say(f"not used: {error}")
        return None


def write(kind: str, name: str, content: bytes, replace: bool = True) -> None:
    """Stores a file for later processes; silently does not where the disk refuses.

    It is written beside its place and put there as a whole, so that no process reads half of one.
    Without `replace`, what is there already stays.
    """
    import tempfile  # which takes 3 ms: most processes find all that they need

    top = root()
    path = top / kind / name
    with contextlib.suppress(OSError):
        top.parent.mkdir(parents=True, exist_ok=True)
        for folder in (top, *reversed(path.relative_to(top).parents[:-1])):
            (top / folder).mkdir(mode=0o700, exist_ok=True)
        try:
            ownership.check_folders(path.parent, top)
        except UntrustedError as error:
            _say(f"not used: {error}")
            return
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=path.name, suffix=_UNFINISHED
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            if replace:
                Path(temporary).replace(path)
            else:
                os.link(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)


_said: dict[str, None] = {}


def _say(line: str) -> None:
    if line not in _said:
        _said[line] = None
        logging.getLogger("columnar_nn").warning("cnn-bench: cache %s", line)


def warnings() -> tuple[str, ...]:
    """What has been said of the cache in this process: folders and files that were not used."""
    return tuple(f"cache {line}" for line in _said)


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
