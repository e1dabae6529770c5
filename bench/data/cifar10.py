"""CIFAR-10 in its binary form (https://www.cs.toronto.edu/~kriz/cifar.html) as Arrow batches.

A record is a label byte and 3,072 pixel bytes: the red, the green and the blue plane, each 32
rows of 32. Records are read in blocks of bounded size, from files or straight out of the archive,
which is never extracted. Whoever made the files: memory is bounded, and time by their sizes and the
bounds of `tar_stream`.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa

from bench.data.tar_stream import TarStream
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, UsageError, printable

IMAGE_SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
CLASSES = (
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
SPLITS = {
    "test": ("test_batch.bin",),
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
}
"""The files of each split, in order."""

CLASS_NAMES_FILE = "batches.meta.txt"
CLASS_NAMES_BYTES = 1 << 14
"""A larger file of class names is none."""

ARCHIVE_FOLDER = "cifar-10-batches-bin"
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")
BLOCK_RECORDS = 256
"""Records read at once; 768 KiB."""

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("label", pa.uint8()),
        pa.field("image", tensor_column.tensor_type("uint8", IMAGE_SHAPE)),
    ]
)


def read_batches(
    path: str | Path, batch_size: int, limit: int | None = None, split: str = "test"
) -> Iterator[pa.RecordBatch]:
    """The images at `path` in batches of `batch_size` rows, the last one perhaps smaller.

    Columns: id int64 (0, 1, ...), label uint8, image fixed_shape_tensor<uint8,[3,32,32]>. At most
    `limit` rows are read, and one batch is held at a time. Paths, splits and errors are those of
    `read_records`.
    """
    return to_batches(read_records(path, split), batch_size, limit)


def read_records(path: str | Path, split: str = "test") -> Iterator[np.ndarray]:
    """Blocks of records, uint8 [n, 3073] with n up to BLOCK_RECORDS, in file order.

    `path` is a folder or a .tar.gz, of which the files of `split` ("test" or "train") are read,
    or one file of records, which is read whatever the split. Raises InvalidDataError naming file,
    offset and what was expected there, and UsageError for an unknown split.
    """
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r}: choose test or train")
    path = Path(path)
    with _readable(path):
        if not path.exists():
            raise InvalidDataError(
                f"{path}: no such file or folder; expected a CIFAR-10 folder, .bin file or .tar.gz"
            )
        files = _files(path, split) if path.is_dir() else []
    if files:
        for file in files:
            yield from _read_file(file)
    elif path.name.endswith(ARCHIVE_SUFFIXES):
        for name in SPLITS[split]:
            yield from _read_member(path, name)
    else:
        yield from _read_file(path)


def has_splits(path: str | Path) -> bool:
    """Whether it is a folder or an archive, of which `read_records` reads the files of a split."""
    path = Path(path)
    return path.is_dir() or path.name.endswith(ARCHIVE_SUFFIXES)


def class_names(path: str | Path) -> tuple[str, ...]:
    """Names of the ten labels: those in the folder's batches.meta.txt, else CIFAR-10's.

    Raises InvalidDataError if that file does not hold ten names.
    """
    path = Path(path)
    with _readable(path):
        folder = _records_folder(path) if path.is_dir() else path.parent
        file = folder / CLASS_NAMES_FILE
        if path.name.endswith(ARCHIVE_SUFFIXES) or not file.is_file():
            return CLASSES
        with file.open("rb") as stream:
            content = stream.read(CLASS_NAMES_BYTES + 1)
    if len(content) > CLASS_NAMES_BYTES:
        raise InvalidDataError(f"{file}: more than {CLASS_NAMES_BYTES:,} bytes are no class names")
    names = tuple(printable(name) for name in content.decode(errors="replace").split())
    if len(names) != len(CLASSES):
        raise InvalidDataError(
            f"{file}: {len(names)} class names; expected {len(CLASSES)}, one a line"
        )
    return names


def to_batches(
    blocks: Iterable[np.ndarray], batch_size: int, limit: int | None = None, first_id: int = 0
) -> Iterator[pa.RecordBatch]:
    """Blocks of records cut anew into batches of SCHEMA; ids count from `first_id`.

    Reads no further block once it has `limit` rows.
    """
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size}: give at least 1")
    pending: list[np.ndarray] = []
    num_pending = 0
    for block in _limited(blocks, limit):
        rest = block
        while len(rest):
            taken, rest = np.split(rest, [batch_size - num_pending])
            pending.append(taken)
            num_pending += len(taken)
            if num_pending == batch_size:
                yield _batch(np.concatenate(pending), first_id)
                first_id += num_pending
                pending, num_pending = [], 0
    if pending:
        yield _batch(np.concatenate(pending), first_id)


def _limited(blocks: Iterable[np.ndarray], limit: int | None) -> Iterator[np.ndarray]:
    if limit is None:
        yield from blocks
        return
    if limit <= 0:
        return
    for block in blocks:
        yield block[:limit]
        limit -= len(block)
        if limit <= 0:
            return


def _batch(records: np.ndarray, first_id: int) -> pa.RecordBatch:
    columns = [
        pa.array(np.arange(first_id, first_id + len(records), dtype=np.int64)),
        pa.array(np.ascontiguousarray(records[:, 0])),
        tensor_column.from_numpy(records[:, 1:].reshape(-1, *IMAGE_SHAPE)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _records_folder(folder: Path) -> Path:
    """The folder itself, or the one that the archive's extraction made inside it."""
    inner = folder / ARCHIVE_FOLDER
    return inner if inner.is_dir() else folder


def _files(folder: Path, split: str) -> list[Path]:
    folder = _records_folder(folder)
    missing = [name for name in SPLITS[split] if not (folder / name).is_file()]
    if missing:
        raise InvalidDataError(
            f"{folder}: no {', '.join(missing)}; expected a CIFAR-10 folder with the files of "
            f"the {split} split"
        )
    return [folder / name for name in SPLITS[split]]


def _read_file(file: Path) -> Iterator[np.ndarray]:
    with _readable(file), _opened(file) as stream:
        yield from _blocks(stream, file.stat().st_size, str(file))


def _read_member(archive: Path, name: str) -> Iterator[np.ndarray]:
    """One file of an archive; the others are decompressed and dropped.

    That is done to the end, since a gzip file's checksum comes last.
    """
    first, others = "", 0
    found = False
    with _readable(archive), _decompressed(archive) as stream:
        tar = TarStream(stream)
        for member in tar.members():
            if member.is_file and member.name.rpartition("/")[2] == name and not found:
                found = True
                yield from _blocks(tar, member.size, f"{archive}:{member.name}")
            else:
                first, others = first or member.name, others + 1
        tar.drain()
    if not found:
        held = f"{others} other member(s), first {first}" if others else "nothing"
        raise InvalidDataError(f"{archive}: no {name} in it; expected CIFAR-10, found {held}")


@contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    with _opened(archive) as file:
        if archive.suffix == ".tar":
            yield file
        else:
            with gzip.open(file) as stream:
                yield cast(IO[bytes], stream)


def _opened(file: Path) -> IO[bytes]:
    """A regular file; opening a FIFO might wait forever, and a device may have no end."""
    if not file.is_file():
        raise InvalidDataError(f"{file}: not a regular file; copy what it gives into one")
    return file.open("rb")


def _blocks(stream: IO[bytes] | TarStream, num_bytes: int, name: str) -> Iterator[np.ndarray]:
    """Checked blocks of a stream that should hold `num_bytes`, called `name` in errors."""
    if num_bytes == 0:
        raise InvalidDataError(
            f"{name}: empty file; expected records of {RECORD_BYTES} bytes at offset 0"
        )
    if num_bytes % RECORD_BYTES:
        whole = num_bytes // RECORD_BYTES
        raise InvalidDataError(
            f"{name}: truncated or not CIFAR-10: record {whole} at offset {whole * RECORD_BYTES} "
            f"has {num_bytes % RECORD_BYTES} bytes; expected {RECORD_BYTES}"
        )
    for offset in range(0, num_bytes, BLOCK_RECORDS * RECORD_BYTES):
        wanted = min(BLOCK_RECORDS * RECORD_BYTES, num_bytes - offset)
        content = stream.read(wanted)
        if len(content) < wanted:
            raise InvalidDataError(
                f"{name}: ends at offset {offset + len(content)}; expected {num_bytes} bytes"
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
        _check_labels(records[:, 0], offset, name)
        yield records


def _check_labels(labels: np.ndarray, offset: int, name: str) -> None:
    wrong = np.flatnonzero(labels >= len(CLASSES))
    if len(wrong):
        at = offset + int(wrong[0]) * RECORD_BYTES
        raise InvalidDataError(
            f"{name}: label {labels[wrong[0]]} at offset {at} (record {at // RECORD_BYTES}); "
            f"expected 0 to {len(CLASSES) - 1}"
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what may go wrong while reading `path` into InvalidDataError."""
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidDataError(
            f"{path}: damaged, or not what its name says ({error}); expected CIFAR-10's .tar.gz"
        ) from None
    except OSError as error:
        raise InvalidDataError(f"{path}: cannot be read: {error.strerror or error}") from None
