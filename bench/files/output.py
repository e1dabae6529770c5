"""Where a command writes what it was asked to write: one writer for every option that names a file.

`-` is standard output, and so is whatever else turns out to be it, such as /dev/stdout. A symbolic
link is followed. A device, a FIFO or an open descriptor (/dev/fd/3) is written to, and opened only
when all of the content is there. Any other file is replaced whole or not at all: with the mode and
owner of the one it replaces, or as the umask says.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.files.temporary import file_beside, temporary_folder
from columnar_nn.errors import UsageError

STANDARD_OUTPUT = "-"
_OUTPUT, _ERROR = 1, 2
"""Descriptors of the standard streams."""

_MAX_LINKS = 40
_PROBE = bytes(4096)
"""What a check writes for a moment: a block, which a full disk has no room for."""


@dataclass(frozen=True)
class OutputFile:
    """A file as the user named it; what it is, is asked anew whenever it matters."""

    name: str

    def __str__(self) -> str:
        return "standard output" if self.name == STANDARD_OUTPUT else self.name

    @property
    def is_standard_output(self) -> bool:
        """Whether what a command shows must go elsewhere."""
        with contextlib.suppress(OSError):
            return self._destination() == _OUTPUT
        return False

    @property
    def replaced(self) -> Path | None:
        """The regular file, links followed, that will be new or another; None of a stream."""
        with contextlib.suppress(OSError):
            destination = self._destination()
            if isinstance(destination, Path) and not _is_stream(destination):
                return destination
        return None

    def check(self) -> None:
        """Raises UsageError, with a reason that does not say the name, if it can't be written."""
        try:
            obstacle = _obstacle(self._destination())
        except OSError as error:
            obstacle = error.strerror or str(error)
        if obstacle:
            raise UsageError(obstacle)

    def write(self, content: bytes) -> None:
        """Writes all of it; raises OSError, and a file that was there is as it was then."""
        destination = self._destination()
        if isinstance(destination, int) or _is_stream(destination):
            with _opened(destination) as stream:
                stream.write(content)
        else:
            with _replacing(destination) as temporary:
                temporary.write_bytes(content)

    @contextmanager
    def new_file(self) -> Iterator[Path]:
        """A path to write, whose content takes its place if the block ends well.

        If the block writes nothing, neither does this. Raises OSError, but not of a pipe whose
        reader has had enough.
        """
        destination = self._destination()
        if isinstance(destination, int) or _is_stream(destination):
            with temporary_folder() as folder:
                file = folder / "output"
                file.touch()
                yield file
                if file.stat().st_size:
                    with (
                        contextlib.suppress(BrokenPipeError),
                        file.open("rb") as content,
                        _opened(destination) as stream,
                    ):
                        shutil.copyfileobj(content, stream)
        else:
            with _replacing(destination) as temporary:
                yield temporary

    def _destination(self) -> int | Path:
        """An open descriptor, or a path that is no link; the file need not exist."""
        if self.name == STANDARD_OUTPUT:
            return _OUTPUT
        path = Path(self.name).absolute()
        for _ in range(_MAX_LINKS):
            folder = Path(os.path.realpath(path.parent))
            path = folder / path.name
            if path.name.isdecimal() and str(folder) in _descriptor_folders():
                return int(path.name)
            if not path.is_symlink():
                return _standard_stream(path) or path
            path = folder / path.readlink()
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _obstacle(destination: int | Path) -> str:
    """Why it cannot be written; empty if it can. Raises OSError."""
    if isinstance(destination, int):
        return _descriptor_obstacle(destination)
    folder, obstacle = destination.parent, ""
    if not folder.is_dir():
        obstacle = f"there is no folder {folder}"
    elif destination.is_dir():
        obstacle = "this is a folder; name a file in it"
    elif destination.is_block_device() or destination.is_socket():
        obstacle = "this is a disk or a socket; name a file"
    elif destination.exists() and not os.access(destination, os.W_OK):
        obstacle = "this file may not be written to"
    elif not _is_stream(destination):
        if os.access(folder, os.W_OK | os.X_OK):
            with file_beside(destination) as probe:
                probe.write_bytes(_PROBE)
        else:
            obstacle = f"folder {folder} may not be written to"
    return obstacle


def _descriptor_obstacle(descriptor: int) -> str:
    if descriptor == _OUTPUT and sys.__stdout__ is None:
        return "standard output is closed"
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    return "it is open for reading" if flags & os.O_ACCMODE == os.O_RDONLY else ""


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file that becomes the one at `path`, unless nothing is written to it."""
    with file_beside(path) as temporary:
        yield temporary
        if not temporary.stat().st_size:
            return
        if path.exists():
            before = path.stat()
            with contextlib.suppress(PermissionError):
                os.chown(temporary, before.st_uid, before.st_gid)
            temporary.chmod(stat.S_IMODE(before.st_mode))
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # some disks say only now that they are full
        temporary.replace(path)


def _opened(destination: int | Path) -> IO[bytes]:
    """A descriptor, device or FIFO, ready to be written; waits for the reader of a FIFO."""
    if isinstance(destination, int):
        sys.stdout.flush()
        return os.fdopen(os.dup(destination), "wb")
    try:
        descriptor = os.open(destination, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        os.set_blocking(descriptor, True)
    except OSError as error:
        if error.errno != errno.ENXIO or not destination.is_fifo():
            raise
        print(f"cnn-bench: waiting for a reader of {destination}", file=sys.stderr, flush=True)
        descriptor = os.open(destination, os.O_WRONLY)
    return os.fdopen(descriptor, "wb")


def _is_stream(path: Path) -> bool:
    """Whether a path is no regular file, nor will be one: it is written to, never replaced."""
    return path.exists() and not path.is_file()


def _descriptor_folders() -> tuple[str, str]:
    """Where the names are the numbers of this process's open descriptors: Linux, then others."""
    return f"/proc/{os.getpid()}/fd", "/dev/fd"


def _standard_stream(path: Path) -> int | None:
    """The standard stream that goes to this very file: replacing it would lose what is shown."""
    for descriptor in (_OUTPUT, _ERROR):
        with contextlib.suppress(OSError):
            shown = os.fstat(descriptor)
            is_shown = not stat.S_ISCHR(shown.st_mode) or os.isatty(descriptor)
            if is_shown and os.path.samestat(path.stat(), shown):
                return descriptor
    return None
