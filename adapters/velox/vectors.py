"""Velox row vectors over NumPy arrays: borrowed columns are views, constants hold one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

ENCODED_TYPE = pa.run_end_encoded(pa.int32(), pa.float32())


def borrowed(values: np.ndarray) -> pa.Array:
    """A column over a contiguous 1-D array that the caller keeps: no copy, and no reference.

    pyvelox 0.2.0 never releases what it imports, so that a reference would keep the array for ever.
    """
    address = values.__array_interface__["data"][0]
    buffer = pa.foreign_buffer(address, values.nbytes)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])


def constants(values: np.ndarray, num_rows: int) -> list[pa.Array]:
    """One column a value of the contiguous float32 array, each repeating it `num_rows` times.

    Run-end encoded in one run, which Velox imports as a constant vector.
    """
    run_end = pa.array([num_rows], pa.int32())
    buffer = pa.py_buffer(np.ascontiguousarray(values, np.float32).reshape(-1))
    return [
        pa.Array.from_buffers(
            ENCODED_TYPE,
            num_rows,
            [None],
            children=[
                run_end,
                pa.Array.from_buffers(pa.float32(), 1, [None, buffer.slice(4 * index, 4)]),
            ],
        )
        for index in range(values.size)
    ]


def constant_list(values: Sequence, value_type: pa.DataType, num_rows: int) -> pa.Array:
    """One value of a list type, repeated `num_rows` times, which Velox imports as a constant."""
    return pa.Array.from_buffers(
        pa.run_end_encoded(pa.int32(), value_type),
        num_rows,
        [None],
        children=[pa.array([num_rows], pa.int32()), pa.array([values], value_type)],
    )


def lists(rows: np.ndarray) -> pa.Array:
    """A column whose row i is the list of the values of rows[i], borrowed from a 2-D array."""
    offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1])
    return pa.ListArray.from_arrays(offsets, borrowed(rows.reshape(-1)))


def row_vector(columns: Mapping[str, pa.Array]) -> Any:
    """The columns as one Velox RowVector (pyvelox.vector.Vector)."""
    from pyvelox import arrow

    return arrow.to_velox(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)))


def numbered(prefix: str, columns: Iterable[pa.Array]) -> dict[str, pa.Array]:
    """The columns named prefix0, prefix1 ..."""
    return {f"{prefix}{index}": column for index, column in enumerate(columns)}


def columns_of(vector: Any) -> list[np.ndarray]:
    """The REAL columns of a flat RowVector without nulls, as float32 views of its buffers."""
    from pyvelox import arrow

    rows = arrow.to_arrow(vector)
    # The struct's validity, then validity and values of each column.
    return [np.frombuffer(values, np.float32, len(rows)) for values in rows.buffers()[2::2]]
