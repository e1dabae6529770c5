"""Named tensors saved to, and read from, Arrow IPC: one fixed_shape_tensor column each."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, first_line

_FILE_MAGIC = b"ARROW1"


def read(path: Path) -> Generator[dict[str, np.ndarray], None, None]:
    """Batches of tensors [rows, ...] by name from an Arrow file or stream, one at a time.

    Columns of other types (ids, labels) are left out. Raises InvalidDataError for a file that
    is not Arrow IPC or has no tensor column.
    """
    try:
        with pa.OSFile(str(path)) as source:
            is_file = source.read(len(_FILE_MAGIC)) == _FILE_MAGIC
            source.seek(0)
            for batch in _file_batches(source) if is_file else pa.ipc.open_stream(source):
                batch.validate()
                names = [
                    field.name
                    for field in batch.schema
                    if isinstance(field.type, pa.FixedShapeTensorType)
                ]
                if not names:
                    raise InvalidDataError(f"{path} has no fixed_shape_tensor column")
                yield {name: tensor_column.to_numpy(batch.column(name)) for name in names}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidDataError(
            f"{path} is not an intact Arrow IPC file: {first_line(error)}"
        ) from None


def save(
    path: Path, batches: Iterable[dict[str, np.ndarray]]
) -> Generator[dict[str, np.ndarray], None, None]:
    """Passes batches on and writes them to an Arrow IPC stream on the way."""
    writer: pa.RecordBatchStreamWriter | None = None
    try:
        for batch in batches:
            record_batch = pa.RecordBatch.from_arrays(
                [tensor_column.from_numpy(array) for array in batch.values()], names=list(batch)
            )
            if writer is None:
                writer = pa.ipc.new_stream(str(path), record_batch.schema)
            writer.write_batch(record_batch)
            yield batch
    finally:
        if writer is not None:
            writer.close()


def _file_batches(source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_file(source) as reader:
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)
