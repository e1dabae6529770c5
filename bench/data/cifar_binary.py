"""CIFAR's binary version: records of labels and pixels, read in blocks of bounded size.

A record is a label byte, of CIFAR-100 that of its superclass before it, and 3,072 pixel bytes: the
red, the green and the blue plane, each 32 rows of 32. Whoever made the files: memory is bounded,
and time by their sizes and the bounds of `tar_stream`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.data import cifar_files
from bench.data.cifar_files import CIFAR10, IMAGE_SHAPE, PIXEL_BYTES, File, Layout
from bench.data.source import Block
from columnar_nn.errors import InvalidDataError

RECORD_BYTES = 1 + PIXEL_BYTES
"""Of CIFAR-10."""

BLOCK_RECORDS = 256
"""Records read at once; 768 KiB."""


def read_blocks(path: str | Path, split: str = "test", layout: Layout = CIFAR10) -> Iterator[Block]:
    """The images and labels of `read_records`."""
    return map(as_block, read_records(path, split, layout))


def read_records(
    path: str | Path, split: str = "test", layout: Layout = CIFAR10
) -> Iterator[np.ndarray]:
    """Blocks of records, uint8 [n, 3073] with n up to BLOCK_RECORDS, in file order.

    `path` is a folder or a .tar.gz, of which the files of `split` ("test" or "train") are read,
    or one file of records, which is read whatever the split. Raises InvalidDataError naming file,
    offset and what was expected there, and UsageError for an unknown split.
    """
    for file in cifar_files.files(Path(path), layout, split):
        yield from _records(file, layout)


def as_block(records: np.ndarray) -> Block:
    """Records, uint8 [n, 3073], as images and labels."""
    return Block(records[:, 1:].reshape(-1, *IMAGE_SHAPE), records[:, 0].astype(np.int64))


def class_names(path: str | Path, layout: Layout = CIFAR10) -> tuple[str, ...]:
    """Names of the labels: those in the folder's or archive's file of names, else the layout's.

    Raises InvalidDataError if that file does not hold as many.
    """
    file = cifar_files.names_file(Path(path), layout)
    if file is None:
        return layout.classes
    name, content = file
    return cifar_files.checked_names(content.decode(errors="replace").split(), layout, name)


def _records(file: File, layout: Layout) -> Iterator[np.ndarray]:
    """Checked blocks of a file; of several labels in a record the last is kept."""
    name, num_bytes = file.name, file.size
    size = layout.label_bytes + PIXEL_BYTES
    if num_bytes == 0:
        raise InvalidDataError(f"{name}: empty file; expected records of {size} bytes at offset 0")
    if num_bytes % size:
        whole = num_bytes // size
        raise InvalidDataError(
            f"{name}: truncated or not CIFAR-10: record {whole} at offset {whole * size} "
            f"has {num_bytes % size} bytes; expected {size}"
        )
    for offset in range(0, num_bytes, BLOCK_RECORDS * size):
        wanted = min(BLOCK_RECORDS * size, num_bytes - offset)
        content = np.frombuffer(file.read(wanted), np.uint8).reshape(-1, size)
        records = content[:, layout.label_bytes - 1 :]
        _check_labels(records[:, 0], offset, size, len(layout.classes), name)
        yield records


def _check_labels(labels: np.ndarray, offset: int, size: int, num_classes: int, name: str) -> None:
    wrong = np.flatnonzero(labels >= num_classes)
    if len(wrong):
        at = offset + int(wrong[0]) * size
        raise InvalidDataError(
            f"{name}: label {labels[wrong[0]]} at offset {at} (record {at // size}); "
            f"expected 0 to {num_classes - 1}"
        )
