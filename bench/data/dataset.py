"""A set of labelled images by name or path: what is in it, and any number of batches of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.data import cifar10, make_photo10, synthetic
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.model.graph import Graph, Shape
from columnar_nn.shown import line

PHOTO10 = Path(__file__).parent / "photo10"
SYNTHETIC_ROWS = 10_000
"""Rows of the synthetic set when no number is asked for."""


STREAMED_ROWS = 256
"""Rows of a batch where nobody says how many."""


@dataclass(frozen=True, repr=False)
class Dataset:
    """Labelled images that can be read again and again; nothing of them is kept in memory.

    `fingerprint` is the SHA-256, in hex, of the records in CIFAR-10's binary form, one after the
    other: for a single file, of the file. `label_counts[i]` rows have the label i, whose name is
    `classes[i]`. `records()` starts a pass over them: blocks uint8 [n, 3073]. `split` is which part
    they are of what has several, else None. `image_shape` is that of the images given out,
    C x H x W.
    """

    name: str
    classes: tuple[str, ...]
    num_rows: int
    label_counts: tuple[int, ...]
    fingerprint: str
    records: Callable[[], Iterator[np.ndarray]]
    split: str | None = None
    image_shape: tuple[int, int, int] = cifar10.IMAGE_SHAPE

    def __repr__(self) -> str:
        images = f"{self.num_rows:,} images of {_shape_text(self.image_shape)}"
        return line(f"Dataset {self.name}:", f"{images}, {len(self.classes)} classes")

    def fitted_to(self, graph: Graph) -> Dataset:
        """The same images in the shape that the network takes (see `resize`), which the name tells.

        Raises InvalidModelError unless its one input is [N, C, H, W], C, H and W known.
        """
        match [spec.shape for spec in graph.inputs]:
            case [(_, int(channels), int(height), int(width))]:
                shape = (channels, height, width)
            case shapes:
                raise InvalidModelError(
                    f"{graph.name} takes {', '.join(map(_shape_text, shapes))}, but data sets hold "
                    "images: export it with one input [N, C, H, W] whose C, H and W are fixed"
                )
        if shape == self.image_shape:
            return self
        return replace(self, name=f"{self.name} at {_shape_text(shape)}", image_shape=shape)

    @property
    def schema(self) -> pa.Schema:
        """cifar10.SCHEMA with the images' shape."""
        image = pa.field("image", tensor_column.tensor_type("uint8", self.image_shape))
        return cifar10.SCHEMA.set(cifar10.SCHEMA.get_field_index("image"), image)

    @property
    def num_bytes(self) -> int:
        """Size of the records in CIFAR-10's binary form."""
        return self.num_rows * cifar10.RECORD_BYTES

    def batches(
        self, num_samples: int, batch_size: int, start: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """`num_samples` rows of `schema`, from `start` on, in batches of `batch_size` or fewer.

        After the last row of the set comes its first one again, while ids go on counting: the row
        with id i is row i modulo `num_rows` of the set. One batch is held at a time.
        """
        blocks = _from_row(self._cycle(), start % self.num_rows)
        batches = cifar10.to_batches(blocks, batch_size, num_samples, first_id=start)
        return batches if self.image_shape == cifar10.IMAGE_SHAPE else map(self._resized, batches)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """All rows once, in batches, through Arrow's C stream: a table to whoever reads those."""
        batches = self.batches(self.num_rows, STREAMED_ROWS)
        reader = pa.RecordBatchReader.from_batches(self.schema, batches)
        return reader.__arrow_c_stream__(requested_schema)

    def _resized(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        images = resize(tensor_column.to_numpy(batch.column("image")), self.image_shape)
        columns = [batch.column("id"), batch.column("label"), tensor_column.from_numpy(images)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

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
            return _scan(spec, classes, partial(make_photo10.records, split), split)
        return _scan(spec, classes, partial(cifar10.read_records, PHOTO10), split)
    records = partial(cifar10.read_records, spec, split)
    part = split if cifar10.has_splits(spec) else None
    return _scan(Path(spec).name, cifar10.class_names(spec), records, part)


def resize(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Images [n, C, H, W] in another C x H x W: every pixel the nearest one's exact values.

    Channel c is channel c modulo the C there are. A shape of which the last size alone is 1 or 3
    is taken for H x W x C, as Keras exports it.
    """
    if shape[2] in (1, 3) and shape[0] not in (1, 3):
        planar = resize(images, (shape[2], *shape[:2]))
        return np.ascontiguousarray(planar.transpose(0, 2, 3, 1))
    channels, height, width = images.shape[1:]
    plane = np.arange(shape[0]) % channels
    row, column = (
        (2 * np.arange(new) + 1) * old // (2 * new)  # by the pixels' centres
        for new, old in zip(shape[1:], (height, width), strict=True)
    )
    return np.ascontiguousarray(images[:, plane][:, :, row][..., column])


def write_ipc(dataset: Dataset, num_samples: int, batch_size: int, path: str | Path) -> None:
    """Writes `dataset.batches(...)` as an Arrow IPC file, which readers can map into memory."""
    with pa.ipc.new_file(str(path), dataset.schema) as writer:
        for batch in dataset.batches(num_samples, batch_size):
            writer.write_batch(batch)


def _from_row(blocks: Iterator[np.ndarray], start: int) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block[start:]
        start = max(0, start - len(block))


def _shape_text(shape: Shape) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)


def _scan(
    name: str,
    classes: tuple[str, ...],
    records: Callable[[], Iterator[np.ndarray]],
    split: str | None = None,
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
        split,
    )
