"""Images in NumPy's files: an array in .npy, images and labels in .npz.

Headers are read here, not by NumPy, so that no header makes a reader take more memory than the
file's own bytes; rows are read in blocks of bounded size.
"""

from __future__ import annotations

import ast
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from bench.data import cifar_files
from bench.data.resize import channels_last
from bench.data.source import (
    SPLITS,
    Block,
    ImageShape,
    NamedInput,
    Source,
    block_rows,
    check_label,
    scan,
)
from columnar_nn.errors import InvalidDataError, first_line, printable

SUFFIXES = (".npy", ".npz")
MAX_HEADER_BYTES = 10_000
"""As NumPy's own readers have it."""

_MAGIC = b"\x93NUMPY"
_PIXELS = ("|u1", "<f4")
_LABELS = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")
_LABEL_WORDS = {"y", "label", "labels", "target", "targets"}
"""What the names of labels have in them."""

_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, TypeError, SyntaxError),
    *(NotImplementedError, RuntimeError, RecursionError, MemoryError, KeyError, OverflowError),
)
"""What zipfile and ast raise for a file that is not as it should be."""


class _Array(NamedTuple):
    """An array in a file: the member's name, empty in .npy, and what its header says."""

    member: str
    dtype: str
    shape: tuple[int, ...]


def open_arrays(path: Path, split: str, wanted: NamedInput | None = None) -> Source:
    """The images in a file, and the labels beside them in .npz.

    Images are uint8, or float32 as networks take them, [n, C, H, W], [n, H, W, C] with 1 or 3
    channels, or [n, H, W]; where there are none, rows of any other shape. In .npz they are the one
    such array, or that whose name has the split in it; labels are the integers [n] or [n, 1] whose
    name goes with it. One of several inputs is the array of its name. Raises InvalidDataError.
    """
    with _readable(path):
        cifar_files.opened(path).close()
        arrays = [_header(path, member) for member in _members(path)]
    if wanted is None:
        rows = [a for a in arrays if _holds_rows(a)]
        found = [a for a in rows if len(a.shape) in (3, 4)] or rows
        images = _chosen(found, split, path, "images", arrays)
        taken = {images.member}
    else:
        images = _named(wanted.name, path, arrays)
        taken = {f"{name}.npy" for name in wanted.names}
    _check_values(images, path)
    named = _named_as_labels([a for a in arrays if a.member not in taken], split)
    _check_labels(named, images.shape[0], path)
    if wanted is None:  # of several inputs the rows are counted first
        _check_count(named, images.shape[0], path)
    labels = None
    candidates = [a for a in arrays if a.member not in taken and _is_labels(a, images)]
    if candidates:
        labels = _chosen(candidates, split, path, "labels", arrays)
    shape, axes = _image_shape(images)
    values = None if labels is None else _labels(path, labels)
    classes = () if values is None else tuple(map(str, range(int(values.max()) + 1)))
    dtype = np.dtype(images.dtype).name

    def read(_: ImageShape) -> Iterator[Block]:
        start = 0
        for rows in _blocks(path, images, block_rows(shape, dtype)):
            pixels = rows.reshape(len(rows), 1, *shape[1:]) if rows.ndim == 3 else rows
            own = None if values is None else values[start : start + len(rows)]
            start += len(rows)
            yield Block(pixels.transpose(axes), own)

    facts = scan(len(classes), read(shape))
    part = split if split in images.member else None
    return Source(f"NumPy's {path.suffix}", classes, facts, shape, dtype, read, split=part)


def _members(path: Path) -> list[str]:
    """The members of .npz that hold arrays; of .npy its one, without a name."""
    if path.suffix == ".npy":
        return [""]
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
    if not names:
        raise InvalidDataError(f"{path}: no array in it; save images and labels with numpy.savez")
    return names


@contextmanager
def _stream(path: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    """The bytes of an array's file from its beginning, and how many there are."""
    if not member:
        with path.open("rb") as stream:
            yield stream, path.stat().st_size
        return
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidDataError(f"{path}: {member} is packed in a way that NumPy does not write")
        with archive.open(info) as stream:
            yield stream, info.file_size


def _header(path: Path, member: str) -> _Array:
    with _stream(path, member) as (stream, num_bytes):
        array, begin = _parsed(stream, member, path)
        itemsize = int(array.dtype[2:]) if array.dtype in {*_PIXELS, *_LABELS} else 0
        missing = begin + math.prod(array.shape) * itemsize - num_bytes
        if missing > 0:
            raise InvalidDataError(
                f"{_where(path, member)}: truncated: {missing:,} of its bytes are missing"
            )
    return array


def _parsed(stream: IO[bytes], member: str, path: Path) -> tuple[_Array, int]:
    """The array at the beginning of a stream, and where its values begin."""
    begin = stream.read(8)
    width = {1: 2, 2: 4, 3: 4}.get(begin[6]) if len(begin) == 8 else None
    if begin[:6] != _MAGIC or width is None:
        raise InvalidDataError(f"{_where(path, member)}: no array of NumPy's format")
    length = int.from_bytes(stream.read(width), "little")
    if length > MAX_HEADER_BYTES:
        raise InvalidDataError(f"{_where(path, member)}: a header of {length:,} bytes")
    header: Any = ast.literal_eval(stream.read(length).decode("latin-1").strip())
    shape, dtype = header["shape"], header["descr"]
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("its shape is no tuple of sizes")
    if header["fortran_order"] and len(shape) > 1:
        raise InvalidDataError(
            f"{_where(path, member)}: stored in Fortran's order; save numpy.ascontiguousarray of it"
        )
    dtype = dtype if isinstance(dtype, str) else "of fields"
    return _Array(member, dtype, shape), 8 + width + length


def _blocks(path: Path, array: _Array, rows: int) -> Iterator[np.ndarray]:
    """The array's rows, so many at once, the member's checksum checked at its end."""
    row_bytes = math.prod(array.shape[1:]) * np.dtype(array.dtype).itemsize
    with _readable(path), _stream(path, array.member) as (stream, _):
        _parsed(stream, array.member, path)
        for start in range(0, array.shape[0], rows):
            count = min(rows, array.shape[0] - start)
            content = stream.read(count * row_bytes)
            if len(content) < count * row_bytes:
                raise EOFError("it ends inside of its values")
            yield np.frombuffer(content, array.dtype).reshape(count, *array.shape[1:])
        if array.member and stream.read(1):
            raise ValueError(f"{array.member} goes on behind its values")


def _named_as_labels(arrays: list[_Array], split: str) -> list[_Array]:
    """Those that are called as labels are, and not as another split's."""
    others = {*SPLITS, "val"} - {split}
    return [a for a in arrays if _LABEL_WORDS & _words(a) and not others & _words(a)]


def _check_labels(named: list[_Array], rows: int, path: Path) -> None:
    """Raises InvalidDataError for labels of as many rows that are none.

    Without a word they would be missing.
    """
    for array in named:
        is_vector = len(array.shape) == 1 or array.shape[1:] == (1,)
        is_whole = is_vector and array.dtype in _LABELS
        if array.shape[:1] == (rows,) and not is_whole:
            raise InvalidDataError(
                f"{_where(path, array.member)}: {list(array.shape)} of type {array.dtype}: labels "
                "are whole numbers [n], such as numpy.argmax of one-hot rows"
            )


def _check_count(named: list[_Array], rows: int, path: Path) -> None:
    """Raises InvalidDataError if there are labels, and none of as many rows."""
    counts = {array.shape[0]: array for array in named if array.shape}
    if counts and rows not in counts:
        count, array = next(iter(counts.items()))
        raise InvalidDataError(
            f"{_where(path, array.member)}: {count:,} labels of {rows:,} images: save as many"
        )


def _words(array: _Array) -> set[str]:
    return set(re.split(r"\W|_|\d", array.member.removesuffix(".npy").lower()))


def _labels(path: Path, array: _Array) -> np.ndarray:
    values = np.concatenate(list(_blocks(path, array, 1 << 16))).reshape(-1)
    where = _where(path, array.member)
    for label in (values.min(), values.max()):
        check_label(int(label), where)
    return values.astype(np.int64)


def _holds_rows(array: _Array) -> bool:
    """Whether it may hold a network's inputs."""
    is_label = array.dtype in _LABELS and array.shape[1:] == (1,)
    return len(array.shape) > 1 and 0 not in array.shape and not is_label


def _is_labels(array: _Array, images: _Array) -> bool:
    count = images.shape[0]
    return array.dtype in _LABELS and array.shape in ((count,), (count, 1))


def _chosen(found: list[_Array], split: str, path: Path, what: str, arrays: list[_Array]) -> _Array:
    """The one of these arrays, or of those the split's by their names."""
    named = [a for a in found if split in a.member]
    others = [a for a in found if not any(s in a.member for s in (*SPLITS, "val"))]
    chosen = named or (others if len(others) == 1 else found)
    if not chosen and path.suffix == ".npy":
        (array,) = arrays
        raise InvalidDataError(
            f"{path}: {list(array.shape)} of type {array.dtype} are no rows of inputs: save uint8 "
            "pixels, or float32 as the network takes it, [n, ...]"
        )
    if len(chosen) != 1:
        held = ", ".join(f"{a.member.removesuffix('.npy')} {list(a.shape)}" for a in arrays)
        raise InvalidDataError(
            f"{path}: {len(chosen)} arrays could be the {what} of the {split} split; it holds "
            f"{held or 'one array'}: name them x_{split} and y_{split}"
        )
    return chosen[0]


def _named(name: str, path: Path, arrays: list[_Array]) -> _Array:
    """The array that one of several inputs is called like."""
    for array in arrays:
        if array.member == f"{name}.npy":
            if len(array.shape) < 1 or 0 in array.shape:
                raise InvalidDataError(f"{path}: {name} is of {list(array.shape)}: it has no rows")
            return array
    held = ", ".join(printable(a.member.removesuffix(".npy")) for a in arrays)
    raise InvalidDataError(f"{path}: no array {name}, which the network takes; it holds {held}")


def _check_values(array: _Array, path: Path) -> None:
    if array.dtype not in _PIXELS:
        raise InvalidDataError(
            f"{_where(path, array.member)}: values of type {array.dtype}: save uint8 "
            "pixels, or float32 as the network takes it"
        )


def _image_shape(array: _Array) -> tuple[ImageShape, tuple[int, ...]]:
    """C x H x W of an array's images, and its axes in this order, rows first.

    Of what is no image its sizes as they are.
    """
    sizes = array.shape[1:]
    if len(sizes) not in (2, 3):
        return sizes, tuple(range(len(array.shape)))
    if len(sizes) == 2:
        return (1, sizes[0], sizes[1]), (0, 1, 2, 3)
    if channels_last((sizes[0], sizes[1], sizes[2])):
        return (sizes[2], sizes[0], sizes[1]), (0, 3, 1, 2)
    return (sizes[0], sizes[1], sizes[2]), (0, 1, 2, 3)


def _where(path: Path, member: str) -> str:
    return f"{path}:{member}" if member else str(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise InvalidDataError(
            f"{path}: damaged, or not NumPy's {path.suffix}: {first_line(error)}"
        ) from None
