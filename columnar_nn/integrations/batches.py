"""A network over a stream of Arrow batches, whichever engine they come from.

    for batch in infer(batches, "plain9", keep=["id"], outputs=["predicted", "logits"]):
        ...

It is what Spark, Sail or any other engine that calls Python with record batches is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import image_column, tensor_column
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.integrations.prepared import (
    IMAGE,
    PREDICTED,
    SCAN,
    NetworkSource,
    prepared,
)

__all__ = ["infer"]

ERROR = "error"
"""The column that says what is wrong with a row's image; null if nothing is."""

BAD = ("null", "fail")
"""What becomes of rows without an image: null outputs and ERROR, or an exception with their ids."""

MAX_ROWS, MAX_VALUES = 1024, 1 << 24
"""Of a batch that the network is run on: its rows, and numbers in its images and outputs."""

MIN_ROWS = 64
"""Smaller batches are joined, images copied, to as many rows.

A batch costs 0.25 ms whatever is in it, as much as an image of plain9.
"""

SHOWN = 10
"""Bad rows that an error names."""

Phase = Callable[[str], AbstractContextManager[Any]]


def infer(
    batches: Iterable[pa.RecordBatch],
    network: NetworkSource = "plain9",
    *,
    image: str = "image",
    keep: Sequence[str] | None = None,
    outputs: Sequence[str] = (PREDICTED,),
    dtype: str = "uint8",
    bad: str = "null",
    phase: Phase = nullcontext,
) -> Iterator[pa.RecordBatch]:
    """Runs a network on the column `image` of each batch; rows come out in their order.

    A batch that comes out has the columns `keep` (None: all but the image), then the `outputs`:
    "predicted" (int64, the class), "logits", "probabilities" or any tensor's name (list of
    float32, row-major), then, unless `bad` is "fail", ERROR. See `image_column` for the types that
    images may have; `dtype` is that of pixels stored as bytes, uint8 or float32.

    `phase` is asked for a context manager around each part of the work: "prepare" (once a thread
    the network), "input", "compute" and "output". A caller may time them.

    Raises UsageError for columns, outputs or words that it does not know, InvalidDataError for a
    column that holds no such images, or bad="fail" and a bad row, and as `zoo.resolve` does.
    """
    if bad not in BAD:
        raise UsageError(f"bad={bad!r}: choose from {', '.join(BAD)}")
    if dtype not in image_column.DTYPES:
        raise UsageError(f"dtype={dtype!r}: choose from {', '.join(image_column.DTYPES)}")
    for batch in _joined(batches):
        with phase("prepare"):
            run = prepared(network, outputs)
            names = kept_names(batch.schema.names, image, keep, [*outputs, ERROR])
            pixels = image_column.pixel_dtype(
                batch.schema.field(image).type, image, dtype, run.image_shape
            )
            executable = run.executable(pixels)
        for piece in _cut(batch, run.values_a_row):
            with phase("input"):
                images = image_column.images(piece.column(image), pixels, run.image_shape)
                if bad == "fail" and images.errors is not None:
                    raise InvalidDataError(_complaint(piece, images.errors, names, image))
                tensors = pa.record_batch([images.tensors], [IMAGE])
            with phase("compute"):
                table = executable.run({SCAN: [tensors]}).to_table()
            with phase("output"):
                columns = {name: piece.column(name) for name in names}
                for name in outputs:
                    columns[name] = _spread(table.column(name), images.good)
                if bad != "fail":
                    errors = images.errors
                    columns[ERROR] = (
                        pa.nulls(piece.num_rows, pa.string()) if errors is None else errors
                    )
                made = pa.record_batch(list(columns.values()), list(columns))
            yield made


def kept_names(
    columns: Sequence[str], image: str, keep: Sequence[str] | None, added: Sequence[str]
) -> list[str]:
    """The columns that are kept beside those `added`: `keep`, or all but the image.

    Raises UsageError for one that is not there or would be there twice.
    """
    names = [name for name in columns if name != image] if keep is None else list(keep)
    for name in (image, *names):
        if name not in columns:
            raise UsageError(f"there is no column {name!r}: there are {', '.join(columns)}")
        if list(columns).count(name) > 1:
            raise UsageError(f"there are several columns {name!r}: rename all but one")
    twice = sorted(name for name in {*names, *added} if [*names, *added].count(name) > 1)
    if twice:
        raise UsageError(
            f"{twice[0]!r} would be there twice, of those kept and of the outputs: rename or drop "
            "the one that is kept"
        )
    return names


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of the stream, small batches that follow each other as one; no empty ones."""
    small: list[pa.RecordBatch] = []
    for batch in batches:
        if not isinstance(batch, pa.RecordBatch):
            raise InvalidDataError(
                f"a stream of batches gave {type(batch).__name__}: it must give pyarrow "
                "RecordBatches"
            )
        fits = not small or batch.schema == small[0].schema
        if small and (batch.num_rows >= MIN_ROWS or not fits):
            yield _one(small)
            small = []
        if batch.num_rows >= MIN_ROWS:
            yield batch
        elif batch.num_rows:
            small.append(batch)
            if sum(each.num_rows for each in small) >= MIN_ROWS:
                yield _one(small)
                small = []
    if small:
        yield _one(small)


def _one(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _cut(batch: pa.RecordBatch, values_a_row: int) -> Iterator[pa.RecordBatch]:
    step = max(1, min(MAX_ROWS, MAX_VALUES // values_a_row))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _spread(column: pa.ChunkedArray, good: np.ndarray | None) -> pa.Array:
    """An output of the good rows as one of all rows, null for the others; tensors as lists."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    if isinstance(array.type, pa.FixedShapeTensorType):
        values = tensor_column.to_numpy(array)
        size = values[:1].size if len(values) else 0
        lengths = np.full(len(values), size) if good is None else good * size
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        mask = None if good is None else pa.array(~good)
        return pa.ListArray.from_arrays(offsets, values.reshape(-1), mask=mask)
    if good is None:
        return array
    filled = np.zeros(len(good), array.type.to_pandas_dtype())
    filled[good] = array.to_numpy()
    return pa.array(filled, mask=~good)


def _complaint(batch: pa.RecordBatch, errors: pa.Array, names: Sequence[str], image: str) -> str:
    rows = np.flatnonzero(errors.is_valid().to_numpy(zero_copy_only=False))
    shown = [
        ", ".join(f"{name} {batch.column(name)[int(row)].as_py()}" for name in names)
        for row in rows[:SHOWN]
    ]
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return (
        f"{len(rows)} row(s) without an image in column {image} "
        f"({errors[int(rows[0])].as_py()}): {'; '.join(shown)}{more}; drop them, or ask for "
        "bad='null'"
    )


def __dir__() -> list[str]:
    return __all__
