"""A set of images as its reader gives it: blocks of rows, any number of times, and their facts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidDataError, UsageError

ImageShape = tuple[int, ...]
"""Channels, height, width; of what are no images the sizes that a network takes."""

SPLITS = ("test", "train")


class NamedInput(NamedTuple):
    """One of several inputs of a network: its name, the shape of a row, and all of the names."""

    name: str
    shape: ImageShape
    names: tuple[str, ...]


BLOCK_ROWS = 256
BLOCK_BYTES = 1 << 22
"""What a reader gives at once: so many rows, fewer of images that take more."""

MAX_CLASSES = 1 << 16
"""A greater label is a mistake: every class is counted."""


@dataclass(frozen=True)
class Block:
    """Some rows: images [n, C, H, W], uint8 pixels, or float32 as networks take them.

    `labels` are int64 [n], each the number of a class; None in a set without labels.
    """

    images: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, start: int, stop: int | None = None) -> Block:
        """Those from `start` on, before `stop`."""
        part = slice(start, stop)
        return Block(self.images[part], None if self.labels is None else self.labels[part])


class Facts(NamedTuple):
    """What one pass over a set tells: rows, rows of each label, and what was read.

    `fingerprint` is the SHA-256, in hex, of `num_bytes`: row by row the label (see `label_dtype`)
    and the pixels, which of CIFAR-10's binary form is the file; of images in files of their own,
    the label and the SHA-256 of each file.
    """

    num_rows: int
    label_counts: tuple[int, ...]
    fingerprint: str
    num_bytes: int


@dataclass(frozen=True)
class Source:
    """A set of images: `read(shape)` starts a pass over its blocks.

    `kind` says in words what was found at the path. `classes` are the labels' names, none of a set
    without labels. `image_shape` and `dtype` are those of the images as they are stored; a reader
    that scales gives the `shape` that it is asked for, others what is stored, and `scaling` says
    how it does: of images of several sizes `image_shape` is the first's, and `extremes` are those
    of fewest and of most pixels, where they are known. One that is `generated` gives what are no
    images in any shape. `split` is which of
    SPLITS they are, if there are others beside them. `left_out` names what cannot be read, each
    with the reason.
    """

    kind: str
    classes: tuple[str, ...]
    facts: Facts
    image_shape: ImageShape
    dtype: str
    read: Callable[[ImageShape], Iterator[Block]]
    scaling: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    generated: bool = False
    split: str | None = None
    extremes: tuple[ImageShape, ImageShape] | None = None


def label_dtype(num_classes: int) -> np.dtype:
    """What labels are stored as: uint8 of up to 256 classes, int32 of more."""
    return np.dtype(np.uint8 if num_classes <= 256 else np.int32)


def block_rows(shape: ImageShape, dtype: str) -> int:
    """Rows that a reader gives at once, at least one."""
    num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES // num_bytes))


def scan(num_classes: int, blocks: Iterable[Block]) -> Facts:
    """The facts of a set whose images lie in arrays, by one pass over it."""
    digest, num_bytes, num_rows = hashlib.sha256(), 0, 0
    counts = np.zeros(num_classes, np.int64)
    for block in blocks:
        pixels = np.ascontiguousarray(block.images).reshape(len(block), -1).view(np.uint8)
        if block.labels is None:
            records = pixels
        else:
            counts += np.bincount(block.labels, minlength=num_classes)
            labels = block.labels.astype(label_dtype(num_classes)).reshape(-1, 1).view(np.uint8)
            records = np.concatenate([labels, pixels], axis=1)
        digest.update(np.ascontiguousarray(records).data)
        num_rows, num_bytes = num_rows + len(block), num_bytes + records.size
    return Facts(num_rows, tuple(map(int, counts)), digest.hexdigest(), num_bytes)


def recut(blocks: Iterable[Block], rows: int, limit: int | None = None) -> Iterator[Block]:
    """Blocks of exactly `rows`, the last one perhaps smaller; at most `limit` rows in all.

    Reads no further block once it has them. Raises UsageError for less than one row.
    """
    if rows < 1:
        raise UsageError(f"batch size {rows}: give at least 1")
    pending: list[Block] = []
    missing = rows
    for block in _limited(blocks, limit):
        rest = block
        while len(rest):
            taken, rest = rest.rows(0, missing), rest.rows(missing)
            pending.append(taken)
            missing -= len(taken)
            if not missing:
                yield _joined(pending)
                pending, missing = [], rows
    if pending:
        yield _joined(pending)


def check_label(label: int, where: str) -> int:
    """The label; raises InvalidDataError if it can be no class's number."""
    if not 0 <= label < MAX_CLASSES:
        raise InvalidDataError(
            f"{where}: label {label} is no number of a class, which are 0 to {MAX_CLASSES - 1:,}"
        )
    return label


def _joined(parts: list[Block]) -> Block:
    if len(parts) == 1:
        return parts[0]
    labels = [part.labels for part in parts if part.labels is not None]
    images = np.concatenate([part.images for part in parts])
    return Block(images, np.concatenate(labels) if labels else None)


def _limited(blocks: Iterable[Block], limit: int | None) -> Iterator[Block]:
    if limit is None:
        yield from blocks
        return
    if limit <= 0:
        return
    for block in blocks:
        yield block.rows(0, limit)
        limit -= len(block)
        if limit <= 0:
            return
