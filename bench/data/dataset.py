"""A set of labelled images by name or path: what is in it, and any number of batches of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.data import cifar10, make_photo10, synthetic
from columnar_nn.errors import UsageError

PHOTO10 = Path(__file__).parent / "photo10"
SYNTHETIC_ROWS = 10_000
"""Rows of the synthetic set when no number is asked for."""


@dataclass(frozen=True)
class Dataset:
    """Labelled images that can be read again and again; nothing of them is kept in memory.

    `fingerprint` is the SHA-256, in hex, of the records in CIFAR-10's binary form, one after the
    other: for a single file, of the file. `label_counts[i]` rows have the label i, whose name is
    `classes[i]`. `records()` starts a pass over them: blocks uint8 [n, 3073].
    """

    name: str
    classes: tuple[str, ...]
    num_rows: int
    label_counts: tuple[int, ...]
    fingerprint: str
    records: Callable[[], Iterator[np.ndarray]]

    @property
    def num_bytes(self) -> int:
        """Size of the records in CIFAR-10's binary form."""
        return self.num_rows * cifar10.RECORD_BYTES

    def batches(self, num_samples: int, batch_size: int) -> Iterator[pa.RecordBatch]:
        """`num_samples` rows of cifar10.SCHEMA in batches of `batch_size`, the last smaller.

        After the last row of the set comes its first one again, while ids go on counting: the row
        with id i is row i modulo `num_rows` of the set. One batch is held at a time.
        """
        return cifar10.to_batches(self._cycle(), batch_size, num_samples)

    def _cycle(self) -> Iterator[np.ndarray]:
        while True:
            yield from self.records()


def open_dataset(spec: str, samples: int | None = None, split: str = "test") -> Dataset:
    """The data set that `spec` names, read once from end to end to check and fingerprint it.

    `spec` is "photo10", whose training split is made from the photographs' packages, "synthetic",
    which has no splits and is as many rows as `samples`, or the path of a CIFAR-10 folder, file
    or archive. Raises InvalidDataError, MissingPackageError and UsageError as their readers do.
    """
    if split not in cifar10.SPLITS:
        raise UsageError(f"unknown split {split!r}: choose test or train")
    if spec == "synthetic":
        num_rows = SYNTHETIC_ROWS if samples is None else samples
        if num_rows < 1:
            raise UsageError(f"{num_rows} samples: give at least 1")
        return _scan(spec, synthetic.CLASSES, partial(synthetic.records, num_rows))
    if spec == "photo10":
        classes = cifar10.class_names(PHOTO10)
        if split == "train":
            return _scan(spec, classes, partial(make_photo10.records, split))
        return _scan(spec, classes, partial(cifar10.read_records, PHOTO10))
    records = partial(cifar10.read_records, spec, split)
    return _scan(Path(spec).name, cifar10.class_names(spec), records)


def write_ipc(dataset: Dataset, num_samples: int, batch_size: int, path: str | Path) -> None:
    """Writes `dataset.batches(...)` as an Arrow IPC file, which readers can map into memory."""
    with pa.ipc.new_file(str(path), cifar10.SCHEMA) as writer:
        for batch in dataset.batches(num_samples, batch_size):
            writer.write_batch(batch)


def _scan(
    name: str, classes: tuple[str, ...], records: Callable[[], Iterator[np.ndarray]]
) -> Dataset:
    digest = hashlib.sha256()
    counts = np.zeros(len(classes), np.int64)
    for block in records():
        digest.update(np.ascontiguousarray(block).data)
        counts += np.bincount(block[:, 0], minlength=len(classes))
    return Dataset(
        name,
        classes,
        int(counts.sum()),
        tuple(int(count) for count in counts),
        digest.hexdigest(),
        records,
    )
