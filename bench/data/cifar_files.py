"""CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html): the files that they are.

Each comes in a binary and in a Python version, as an archive, which is never extracted, as the
folder that its extraction makes, or as single files of it.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bench.data.source import SPLITS, ImageShape
from bench.data.tar_stream import TarStream
from columnar_nn.errors import InvalidDataError, UsageError, printable

IMAGE_SHAPE: ImageShape = (3, 32, 32)
PIXEL_BYTES = 3 * 32 * 32
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")
CLASS_NAMES_BYTES = 1 << 14
"""A larger file of class names is none."""

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@dataclass(frozen=True)
class Layout:
    """One version of one of them: its folder, the files of each split in order, its classes.

    `names_file` has the classes' names. A record of the binary version begins with `label_bytes`
    labels, of which the last is the class. `pickled`: the files are Python pickles, in which
    `labels_key` has the labels and `names_key`, in the file of names, the names.
    """

    title: str
    folder: str
    files: Mapping[str, tuple[str, ...]]
    names_file: str
    classes: tuple[str, ...]
    label_bytes: int = 1
    pickled: bool = False
    labels_key: str = ""
    names_key: str = ""


@dataclass(frozen=True)
class File:
    """One file: its name for errors, its size, and its contents from the beginning."""

    name: str
    size: int
    path: Path
    stream: IO[bytes] | TarStream

    def read(self, num_bytes: int) -> bytes:
        """So many bytes more; raises InvalidDataError if it is damaged there, or ends before."""
        with readable(self.path):
            content = self.stream.read(num_bytes)
        if len(content) < num_bytes:
            raise InvalidDataError(f"{self.name}: ends before its {self.size:,} bytes")
        return content


_TEN = tuple(f"data_batch_{number}" for number in range(1, 6))
_HUNDRED = tuple(f"class{label}" for label in range(100))

CIFAR10 = Layout(
    "CIFAR-10, binary version",
    "cifar-10-batches-bin",
    {"test": ("test_batch.bin",), "train": tuple(f"{name}.bin" for name in _TEN)},
    "batches.meta.txt",
    CIFAR10_CLASSES,
)
CIFAR100 = Layout(
    "CIFAR-100, binary version",
    "cifar-100-binary",
    {"test": ("test.bin",), "train": ("train.bin",)},
    "fine_label_names.txt",
    _HUNDRED,
    label_bytes=2,
)
CIFAR10_PYTHON = Layout(
    "CIFAR-10, Python version",
    "cifar-10-batches-py",
    {"test": ("test_batch",), "train": _TEN},
    "batches.meta",
    CIFAR10_CLASSES,
    pickled=True,
    labels_key="labels",
    names_key="label_names",
)
CIFAR100_PYTHON = Layout(
    "CIFAR-100, Python version",
    "cifar-100-python",
    {"test": ("test",), "train": ("train",)},
    "meta",
    _HUNDRED,
    pickled=True,
    labels_key="fine_labels",
    names_key="fine_label_names",
)
LAYOUTS = (CIFAR10, CIFAR100, CIFAR10_PYTHON, CIFAR100_PYTHON)


def is_archive(path: Path) -> bool:
    """Whether it is named as an archive is."""
    return path.name.endswith(ARCHIVE_SUFFIXES)


def layout_of(path: Path) -> Layout | None:
    """Which version lies in a folder, an archive or a file, by names of files; None if none does.

    Any other file .bin, or without suffix, is taken for CIFAR-10's binary one. Raises
    InvalidDataError for what cannot be read.
    """
    with readable(path):
        if not path.exists():
            return None
        if path.is_dir():
            return _first(_holds(path, layout) for layout in LAYOUTS)
        if not is_archive(path):
            return _of_name(path.name) or (CIFAR10 if path.suffix in ("", ".bin") else None)
        opened(path).close()
        with _decompressed(path) as stream:
            for member in TarStream(stream).members():
                found = _of_name(member.name.rpartition("/")[2]) if member.is_file else None
                if found is not None:
                    return found
    return None


def files(path: Path, layout: Layout, split: str) -> Iterator[File]:
    """The files of a split, in order; `path` itself if it is a single one, whatever the split.

    Each stream may be read until the next file is asked for. Raises InvalidDataError naming the
    file that is missing or damaged, UsageError for an unknown split.
    """
    check_split(split)
    with readable(path):
        if not path.exists():
            raise InvalidDataError(
                f"{path}: no such file or folder; expected a CIFAR-10 folder, .bin file or .tar.gz"
            )
        is_folder = path.is_dir()
    if is_folder:
        for file in _folder_files(path, layout, split):
            yield from _whole(file)
    elif is_archive(path):
        for name in layout.files[split]:
            yield from _member(path, name)
    else:
        yield from _whole(path)


def names_file(path: Path, layout: Layout) -> tuple[str, bytes] | None:
    """The file of class names, its name for errors and what it holds; None without one.

    It lies in an archive, or in the folder that `path` is or lies in. Raises InvalidDataError for
    one that is damaged, or of more than CLASS_NAMES_BYTES.
    """
    with readable(path):
        is_folder = path.is_dir()
    if is_archive(path) and not is_folder:
        with readable(path), _decompressed(path) as stream:
            tar = TarStream(stream)
            for member in tar.members():
                if member.is_file and member.name.rpartition("/")[2] == layout.names_file:
                    return _short(File(f"{path}:{member.name}", member.size, path, tar))
        return None
    file = (_inner(path, layout) if is_folder else path.parent) / layout.names_file
    with readable(file):
        if not file.is_file():
            return None
        with opened(file) as content:
            return _short(File(str(file), file.stat().st_size, file, content))


def _short(file: File) -> tuple[str, bytes]:
    if file.size > CLASS_NAMES_BYTES:
        raise InvalidDataError(
            f"{file.name}: more than {CLASS_NAMES_BYTES:,} bytes are no class names"
        )
    return file.name, file.read(file.size)


def checked_names(names: list[str], layout: Layout, where: str) -> tuple[str, ...]:
    """As many names as there are classes, printable; raises InvalidDataError."""
    if len(names) != len(layout.classes):
        raise InvalidDataError(
            f"{where}: {len(names)} class names; expected {len(layout.classes)}, one a line"
        )
    return tuple(map(printable, names))


def check_split(split: str) -> None:
    """Raises UsageError for an unknown split."""
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r}: choose test or train")


def opened(file: Path) -> IO[bytes]:
    """A regular file; opening a FIFO might wait forever, and a device may have no end."""
    if not file.exists():
        raise InvalidDataError(f"{file}: no such file; check the path")
    if not file.is_file():
        raise InvalidDataError(f"{file}: not a regular file; copy what it gives into one")
    return file.open("rb")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what may go wrong while reading `path` into InvalidDataError."""
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidDataError(
            f"{path}: damaged, or not what its name says ({error}); expected CIFAR-10's .tar.gz"
        ) from None
    except OSError as error:
        raise InvalidDataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _of_name(name: str) -> Layout | None:
    return _first(
        layout if any(name in files for files in layout.files.values()) else None
        for layout in LAYOUTS
    )


def _first(found: Iterator[Layout | None]) -> Layout | None:
    return next((layout for layout in found if layout is not None), None)


def _holds(folder: Path, layout: Layout) -> Layout | None:
    inner = _inner(folder, layout)
    names = [name for files in layout.files.values() for name in files]
    return layout if any((inner / name).is_file() for name in names) else None


def _inner(folder: Path, layout: Layout) -> Path:
    """The folder itself, or the one that the archive's extraction made inside it."""
    inner = folder / layout.folder
    return inner if inner.is_dir() else folder


def _folder_files(path: Path, layout: Layout, split: str) -> list[Path]:
    folder = _inner(path, layout)
    missing = [name for name in layout.files[split] if not (folder / name).is_file()]
    if missing:
        raise InvalidDataError(
            f"{folder}: no {', '.join(missing)}; expected a CIFAR-10 folder with the files of "
            f"the {split} split"
        )
    return [folder / name for name in layout.files[split]]


def _whole(file: Path) -> Iterator[File]:
    with readable(file), opened(file) as stream:
        yield File(str(file), file.stat().st_size, file, stream)


def _member(archive: Path, name: str) -> Iterator[File]:
    """One file of an archive; the others are decompressed and dropped.

    That is done to the end, since a gzip file's checksum comes last.
    """
    first, others = "", 0
    found = False
    with readable(archive), _decompressed(archive) as stream:
        tar = TarStream(stream)
        for member in tar.members():
            if member.is_file and member.name.rpartition("/")[2] == name and not found:
                found = True
                yield File(f"{archive}:{member.name}", member.size, archive, tar)
            else:
                first, others = first or member.name, others + 1
        tar.drain()
    if not found:
        held = f"{others} other member(s), first {first}" if others else "nothing"
        raise InvalidDataError(f"{archive}: no {name} in it; expected CIFAR-10, found {held}")


@contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    with opened(archive) as file:
        if archive.suffix == ".tar":
            yield file
        else:
            with gzip.open(file) as stream:
                yield cast(IO[bytes], stream)
