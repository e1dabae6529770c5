"""A set of images by name or path: what is in it, and any number of batches of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.data import normalization
from bench.data.input_column import InputColumn, shape_text
from bench.data.preparation import Preparation
from bench.data.readers import open_inputs, open_source
from bench.data.source import Block, ImageShape, NamedInput, Source, label_dtype, recut
from columnar_nn.errors import InvalidDataError, InvalidModelError, UsageError
from columnar_nn.model.graph import Graph
from columnar_nn.shown import line

STREAMED_ROWS = 256
"""Rows of a batch where nobody says how many."""

_ID, _LABEL = "id", "label"

_NAMED = 5
"""Files that cannot be read are named up to so many."""


@dataclass(frozen=True, repr=False)
class Dataset:
    """Images that can be read again and again; nothing of them is kept in memory.

    There is a column for each input of the network that they are for, all of one set's rows.
    """

    base_name: str
    columns: tuple[InputColumn, ...]

    @property
    def name(self) -> str:
        """Its name, and what becomes of its images before a network has them."""
        if len(self.columns) == 1:
            return f"{self.base_name}{self.columns[0].changes}"
        columns = "; ".join(f"{column.name}{column.changes}" for column in self.columns)
        return f"{self.base_name} ({columns})"

    def __repr__(self) -> str:
        shapes = " and ".join(shape_text(column.shape) for column in self.columns)
        images = f"{self.num_rows:,} images of {shapes}"
        return line(f"Dataset {self.name}:", f"{images}, {len(self.classes)} classes")

    @property
    def source(self) -> Source:
        """Where its first column comes from, and its labels."""
        return self.columns[0].source

    @property
    def image_shape(self) -> ImageShape:
        """Of a row of its first column, C x H x W of images."""
        return self.columns[0].shape

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
    def warning(self) -> str:
        """What could not be read: how many, and the first of them by name; "" if nothing."""
        if not self.left_out:
            return ""
        named = [f"{name} ({reason})" for name, reason in list(self.left_out.items())[:_NAMED]]
        more = len(self.left_out) - len(named)
        others = f" and {more:,} more" if more else ""
        return f"{len(self.left_out):,} left out of the images: {', '.join(named)}{others}"

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of what was read (see Facts), and of what else makes the images."""
        if len(self.columns) == 1:
            return self.columns[0].fingerprint
        parts = [f"{column.name} {column.shape} {column.fingerprint}" for column in self.columns]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def num_bytes(self) -> int:
        """Bytes that the fingerprint is of."""
        return sum(column.source.facts.num_bytes for column in self.columns)

    @property
    def image_bytes(self) -> int:
        """Bytes of a row of inputs that is given out."""
        return sum(column.row_bytes for column in self.columns)

    @property
    def schema(self) -> pa.Schema:
        """id int64 (0, 1, ...), label (see `label_dtype`, null without labels), tensors.

        Those are a column `image`, or one of its name for each of several inputs.
        """
        return pa.schema(
            [
                pa.field(_ID, pa.int64()),
                pa.field(_LABEL, pa.from_numpy_dtype(label_dtype(len(self.classes)))),
                *(pa.field(column.name, column.type) for column in self.columns),
            ]
        )

    def fitted_to(self, graph: Graph) -> Dataset:
        """The same images as a network of one input takes them: in its shape, normalized.

        Images in arrays are resized (see `resize`), those in files scaled and cropped; the name
        tells. A normalization of the user's goes before that of the network's file. Raises
        InvalidModelError for several inputs, for unknown sizes, and for sizes that are no image's
        and not the rows'.
        """
        if len(graph.inputs) != 1:
            raise InvalidModelError(
                f"{graph.name} takes {', '.join(graph.columns) or 'nothing'}, and "
                f"{self.base_name} is one input"
            )
        (column,), (shape,) = self.columns, _row_shapes(graph)
        _check_fits(column, shape, self.base_name, graph.name)
        found = column.normalization or normalization.of_metadata(graph.metadata)
        fitted = column.fitted(shape, found)
        return self if fitted is column else replace(self, columns=(fitted,))

    def batches(
        self, num_samples: int, batch_size: int, start: int = 0
    ) -> Iterator[pa.RecordBatch]:
        """`num_samples` rows of `schema`, from `start` on, in batches of `batch_size` or fewer.

        After the last row of the set comes its first one again, while ids go on counting: the row
        with id i is row i modulo `num_rows` of the set. One batch is held at a time.
        """
        first = start % self.num_rows
        columns = [recut(c.endless(first), batch_size, num_samples) for c in self.columns]
        for blocks in zip(*columns, strict=True):
            yield self._batch(blocks, start)
            start += len(blocks[0])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """All rows once, in batches, through Arrow's C stream: a table to whoever reads those."""
        batches = self.batches(self.num_rows, STREAMED_ROWS)
        reader = pa.RecordBatchReader.from_batches(self.schema, batches)
        return reader.__arrow_c_stream__(requested_schema)

    def _batch(self, blocks: Sequence[Block], first_id: int) -> pa.RecordBatch:
        count, labels = len(blocks[0]), blocks[0].labels
        columns = [
            pa.array(np.arange(first_id, first_id + count, dtype=np.int64)),
            pa.nulls(count, self.schema.field(_LABEL).type)
            if labels is None
            else pa.array(labels.astype(label_dtype(len(self.classes)))),
            *(column.array(block) for column, block in zip(self.columns, blocks, strict=True)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


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
    return Dataset(name, (InputColumn("image", source, source.image_shape, preparation),))


def dataset_for(
    graph: Graph,
    spec: str,
    samples: int | None = None,
    split: str = "test",
    preparation: Preparation | None = None,
) -> Dataset:
    """What `spec` names (see `open_dataset`) as a network takes it (see `Dataset.fitted_to`).

    A network of several inputs gets one column for each, called like it: noise of "synthetic", or
    the arrays of .npz and the columns of Parquet and Arrow files of these names. Normalizations are
    of those that are images. Raises as both do.
    """
    if len(graph.inputs) < 2:
        return open_dataset(spec, samples, split, preparation).fitted_to(graph)
    preparation = preparation or Preparation()
    inputs = _named_inputs(graph)
    name, sources = open_inputs(spec, samples, split, preparation, inputs)
    _check_rows(name, inputs, sources)
    images = [wanted.name for wanted in inputs if len(wanted.shape) == 3]
    if preparation.normalization is not None and not images:
        raise UsageError(f"--mean and --std are of images, and {graph.name} takes none")
    found = preparation.normalization or normalization.of_metadata(graph.metadata)
    plain = replace(preparation, normalization=None)
    columns = []
    for wanted, source in zip(inputs, sources, strict=True):
        column = InputColumn(wanted.name, source, source.image_shape, plain)
        _check_fits(column, wanted.shape, f"{name}, {wanted.name},", graph.name)
        columns.append(column.fitted(wanted.shape, found if wanted.name in images else None))
    return Dataset(name, tuple(columns))


def write_ipc(dataset: Dataset, num_samples: int, batch_size: int, path: str | Path) -> None:
    """Writes `dataset.batches(...)` as an Arrow IPC file, which readers can map into memory."""
    with pa.ipc.new_file(str(path), dataset.schema) as writer:
        for batch in dataset.batches(num_samples, batch_size):
            writer.write_batch(batch)


def _row_shapes(graph: Graph) -> list[ImageShape]:
    """What a row of each input is; raises InvalidModelError for sizes that are not known."""
    if any(None in spec.shape[1:] for spec in graph.inputs):
        shapes = ", ".join(shape_text(spec.shape) for spec in graph.inputs)
        raise InvalidModelError(
            f"{graph.name} takes {shapes}: give the sizes that are free with --input-shape"
        )
    return [tuple(int(size or 0) for size in spec.shape[1:]) for spec in graph.inputs]


def _check_fits(column: InputColumn, shape: ImageShape, of: str, network: str) -> None:
    """Raises InvalidModelError if the rows of a column cannot be given in this shape."""
    if not column.fits(shape):
        raise InvalidModelError(
            f"{network} takes {shape_text(shape)}, and a row of {of} is "
            f"{shape_text(column.source.image_shape)}: give .npz or Parquet of such tensors, or "
            "--data synthetic"
        )


def _named_inputs(graph: Graph) -> list[NamedInput]:
    """Several inputs as readers look for them; raises InvalidModelError for a taken name."""
    names = tuple(graph.columns.values())
    for name in names:
        if name in (_ID, _LABEL):
            raise InvalidModelError(
                f"{graph.name} has an input called {name}, as the rows' own column is: rename it"
            )
    shapes = _row_shapes(graph)
    return [NamedInput(*named, names) for named in zip(names, shapes, strict=True)]


def _check_rows(name: str, inputs: Sequence[NamedInput], sources: Sequence[Source]) -> None:
    """Raises InvalidDataError unless row i of each source is of the same row."""
    first = sources[0]
    for wanted, source in zip(inputs, sources, strict=True):
        for row in source.left_out.keys() ^ first.left_out.keys():
            reason = {**first.left_out, **source.left_out}[row]
            raise InvalidDataError(
                f"{name}: {row}: {reason}: give a value of each input in every row, or drop the row"
            )
        if source.facts.num_rows != first.facts.num_rows:
            raise InvalidDataError(
                f"{name}: {first.facts.num_rows:,} rows of {inputs[0].name} and "
                f"{source.facts.num_rows:,} of {wanted.name}: they must be as many"
            )
