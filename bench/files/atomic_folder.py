"""A folder that appears whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.files.temporary import folder_beside
from columnar_nn.errors import UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that takes no more: raised for a descriptor, they name no file."""


def check_absent(destination: Path) -> None:
    """Raises UsageError if there is something of that name: for who asks before a long work."""
    if destination.exists() or destination.is_symlink():
        raise UsageError(f"{destination} exists already: name another folder, or remove it")


@contextmanager
def new_folder(destination: Path, replace: bool = False) -> Iterator[Path]:
    """Yields a temporary folder beside `destination` that takes its name if the block succeeds.

    If the block raises, nothing is left. Raises UsageError if `destination` exists, unless it is to
    be replaced, or its parent does not or cannot be written to, or is full.
    """
    if not replace:
        check_absent(destination)
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(folder_beside(destination))
        except OSError as error:
            raise UsageError(f"cannot write to {destination.parent}: {error.strerror}") from None
        try:
            yield temporary
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise UsageError(f"cannot write {destination}: {os.strerror(error.errno)}") from None
        try:
            if replace and destination.exists():
                os.rename(destination, stack.enter_context(folder_beside(destination)))
            os.rename(temporary, destination)
        except OSError as error:
            raise UsageError(f"cannot create {destination}: {error.strerror}") from None
