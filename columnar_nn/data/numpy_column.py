"""Any column of numbers or tensors as a NumPy array, however it is cut into chunks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.data.arrow_source import decoded_values
from columnar_nn.errors import InvalidDataError


def to_numpy(column: Any) -> np.ndarray:
    """A column as an array of its rows: tensors [rows, *shape], lists [rows, n], numbers [rows].

    `column` is an Array or a ChunkedArray, as a Table's are, or anything else that gives one
    through Arrow's C interface, as a Series of polars does. What lies in one chunk is not copied,
    but for booleans and dictionaries. Raises InvalidDataError for nulls, lists of different
    lengths, permuted tensors, and values that are no numbers.
    """
    if not isinstance(column, (pa.Array, pa.ChunkedArray)):
        gives_arrow = hasattr(column, "__arrow_c_stream__") or hasattr(column, "__arrow_c_array__")
        if not gives_arrow or hasattr(column, "column_names") or hasattr(column, "columns"):
            raise InvalidDataError(
                f"cannot make an array of {type(column).__name__}: pass a column of a table"
            )
        column = pa.chunked_array(column)
    chunks = [column] if isinstance(column, pa.Array) else column.chunks
    chunks = chunks or [pa.nulls(0, column.type)]
    if isinstance(column.type, pa.FixedShapeTensorType):
        tensors = [tensor_column.to_numpy(chunk) for chunk in chunks]
        return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
    return _numbers(chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks))


def _numbers(column: pa.Array) -> np.ndarray:
    """Numbers, or lists of them, of an array in one piece."""
    column = decoded_values(column)
    if column.null_count:
        raise InvalidDataError(f"the column has {column.null_count} null(s): drop or fill them")
    values: np.ndarray
    kinds = pa.types
    data_type = column.type
    if kinds.is_fixed_size_list(data_type):
        values = _numbers(column.flatten())
        return values.reshape(len(column), data_type.list_size, *values.shape[1:])
    if kinds.is_list(data_type) or kinds.is_large_list(data_type):
        lengths = set(column.value_lengths().to_pylist()) or {0}
        if len(lengths) > 1:
            raise InvalidDataError(
                f"the column has lists of {min(lengths)} to {max(lengths)} values: an array needs "
                "rows of one length"
            )
        values = _numbers(column.flatten())
        return values.reshape(len(column), *lengths, *values.shape[1:])
    is_boolean = kinds.is_boolean(data_type)
    if not (is_boolean or kinds.is_integer(data_type) or kinds.is_floating(data_type)):
        raise InvalidDataError(f"the column holds {data_type}, no numbers: use its to_pylist()")
    values = column.to_numpy(zero_copy_only=not is_boolean)
    return values
