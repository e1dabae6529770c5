"""A set of images by name or path: what is in it, and any number of batches of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.data import normalization
from bench.data.normalization import Normalization
from bench.data.preparation import Preparation
from bench.data.readers import open_source
from bench.data.resize import channels_last, resize
from bench.data.source import Block, ImageShape, Source, label_dtype, recut
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidModelError
from columnar_nn.model.graph import Graph, Shape
from columnar_nn.shown import line

STREAMED_ROWS = 256
"""Rows of a batch where nobody says how many."""


@dataclass(frozen=True, repr=False)
class Dataset:
    """Images that can be read again and again; nothing of them is kept in memory.

    `image_shape` is that of the images given out, C x H x W: those of the `source`, or those that a
    network takes. With a `normalization` they are float32.
    """

    base_name: str
    source: Source
    image_shape: ImageShape
    preparation: Preparation

    @property
    def name(self) -> str:
        """Its name, and what becomes of its images before a network has them."""
        own = self.image_shape == self.source.image_shape
        scaling = self.source.scaling
        shape = "" if own and not scaling else f" at {_shape_text(self.image_shape)}"
        parts = [part for part in (scaling, self.normalization) if part]
        detail = f" ({'; '.join(map(str, parts))})" if parts else ""
        return f"{self.base_name}{shape}{detail}"

    def __repr__(self) -> str:
        images = f"{self.num_rows:,} images of {_shape_text(self.image_shape)}"
        return line(f"Dataset {self.name}:", f"{images}, {len(self.classes)} classes")

    @property
    def kind(self) -> str:
        """What was found at its path, in words."""
        return self.source.kind

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels, none of a set without."""
        return self.source.classes

    @property
    def split(self) -> str | None:
        """Which part they are of what has several, "test" or "train", else None."""
        return self.source.split

    @property
    def num_rows(self) -> int:
        """Its images."""
        return self.source.facts.num_rows

    @property
    def label_counts(self) -> tuple[int, ...]:
        """Rows of each label."""
        return self.source.facts.label_counts

    @property
    def left_out(self) -> Mapping[str, str]:
        """What could not be read, by name, each with the reason."""
        return self.source.left_out

    @property
    def normalization(self) -> Normalization | None:
        """How pixels are normalized, if they are."""
        return self.preparation.normalization

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of what was read (see Facts), and of what else makes the images."""
        own = self.source.facts.fingerprint
        if self.preparation.shorter_side is None and self.normalization is None:
            return own
        made = f"{own} {self.preparation.shorter_side} {self.normalization}"
        return hashlib.sha256(made.encode()).hexdigest()

    @property
    def num_bytes(self) -> int:
        """Bytes that the fingerprint is of."""
        return self.source.facts.num_bytes

    @property
    def image_bytes(self) -> int:
        """Bytes of an image that is given out."""
        return int(np.prod(self.image_shape)) * np.dtype(self._dtype).itemsize

    @property
    def schema(self) -> pa.Schema:
        """id int64 (0, 1, ...), label (see `label_dtype`, null without labels), image: a tensor."""
        return pa.schema(
            [
                pa.field("id", pa.int64()),
                pa.field("label", pa.from_numpy_dtype(label_dtype(len(self.classes)))),
                pa.field("image", tensor_column.tensor_type(self._dtype, self.image_shape)),
            ]
        )

    def fitted_to(self, graph: Graph) -> Dataset:
        """The same images as the network takes them: in its shape, normalized as its file says.

        Images in arrays are resized (see `resize`), those in files scaled and cropped; the name
        tells. A normalization of the user's goes before the file's. Raises InvalidModelError
        unless it has one input of known sizes, and these, if they are no image's, are the rows'.
        """
        shapes = [spec.shape for spec in graph.inputs]
        if len(shapes) != 1 or None in shapes[0][1:]:
            raise InvalidModelError(
                f"{graph.name} takes {', '.join(map(_shape_text, shapes))}, but a data set gives "
                "one input: export it with one input [N, C, H, W] whose C, H and W are fixed"
            )
        shape = tuple(size for size in shapes[0][1:] if size is not None)
        self._check_fits(shape, graph.name)
        found = self.normalization or normalization.of_metadata(graph.metadata)
        if found is not None:
            found.check(shape, _channel_axis(shape))
        if shape == self.image_shape and found == self.normalization:
            return self
        return replace(
            self, image_shape=shape, preparation=replace(self.preparation, normalization=found)
        )

    def batches(
        self, num_samples: int, batch_size: int, start: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """`num_samples` rows of `schema`, from `start` on, in batches of `batch_size` or fewer.

        After the last row of the set comes its first one again, while ids go on counting: the row
        with id i is row i modulo `num_rows` of the set. One batch is held at a time.
        """
        blocks = _from_row(self._cycle(), start % self.num_rows)
        for block in recut(blocks, batch_size, num_samples):
            yield self._batch(block, start)
            start += len(block)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """All rows once, in batches, through Arrow's C stream: a table to whoever reads those."""
        batches = self.batches(self.num_rows, STREAMED_ROWS)
        reader = pa.RecordBatchReader.from_batches(self.schema, batches)
        return reader.__arrow_c_stream__(requested_schema)

    @property
    def _dtype(self) -> str:
        return self.source.dtype if self.normalization is None else "float32"

    def _check_fits(self, shape: ImageShape, network: str) -> None:
        """Raises InvalidModelError if its rows cannot be given in this shape."""
        own = self.source.image_shape
        if (len(shape), len(own)) == (3, 3) or self.source.generated or _same_sizes(shape, own):
            return
        raise InvalidModelError(
            f"{network} takes {_shape_text(shape)}, and a row of {self.base_name} is "
            f"{_shape_text(own)}: give .npz or Parquet of such tensors, or --data synthetic"
        )

    def _batch(self, block: Block, first_id: int) -> pa.RecordBatch:
        images, label_type = block.images, self.schema.field("label").type
        if _same_sizes(images.shape[1:], self.image_shape):
            images = images.reshape(len(images), *self.image_shape)
        elif images.shape[1:] != self.image_shape:
            images = resize(images, self.image_shape)
        if self.normalization is not None:
            images = self.normalization.of(images, _channel_axis(self.image_shape))
        columns = [
            pa.array(np.arange(first_id, first_id + len(block), dtype=np.int64)),
            pa.nulls(len(block), label_type)
            if block.labels is None
            else pa.array(block.labels.astype(label_dtype(len(self.classes)))),
            tensor_column.from_numpy(images),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _cycle(self) -> Iterator[Block]:
        while True:
            yield from self.source.read(self.image_shape)


def open_dataset(
    spec: str,
    samples: int | None = None,
    split: str = "test",
    preparation: Preparation | None = None,
) -> Dataset:
    """The data set that `spec` names, read once from end to end to check and fingerprint it.

    `spec` is "photo10", whose training split is made from the photographs' packages, "synthetic",
    which has no splits and is as many rows as `samples`, or a path, whose kind is found out:
    CIFAR-10 or -100 in either version, as a folder, file or archive; a folder of PNG and JPEG
    files; NumPy's .npy and .npz; Parquet and Arrow files. Raises InvalidDataError,
    MissingPackageError and UsageError as their readers do.
    """
    preparation = preparation or Preparation()
    name, source = open_source(spec, samples, split, preparation)
    return Dataset(name, source, source.image_shape, preparation)


def write_ipc(dataset: Dataset, num_samples: int, batch_size: int, path: str | Path) -> None:
    """Writes `dataset.batches(...)` as an Arrow IPC file, which readers can map into memory."""
    with pa.ipc.new_file(str(path), dataset.schema) as writer:
        for batch in dataset.batches(num_samples, batch_size):
            writer.write_batch(batch)


def _from_row(blocks: Iterator[Block], start: int) -> Iterator[Block]:
    for block in blocks:
        yield block.rows(start)
        start = max(0, start - len(block))


def _same_sizes(shape: ImageShape, other: ImageShape) -> bool:
    """Whether two shapes, not both of images, differ by sizes of 1 alone."""
    sizes = [[size for size in sizes if size > 1] for sizes in (shape, other)]
    return (len(shape), len(other)) != (3, 3) and sizes[0] == sizes[1]


def _channel_axis(shape: ImageShape) -> int:
    """Of images [n, *shape]."""
    return 3 if len(shape) == 3 and channels_last(shape) else 1


def _shape_text(shape: Shape) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
