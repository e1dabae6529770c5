"""Arrays by name as a table: what a dict holds, or a frame whose cells are arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, first_line


def table_of(arrays: Mapping[str, Any]) -> pa.Table:
    """A column an array: of tensors where it has several axes, the first of which are the rows.

    Arrays are NumPy's, Arrow's, lists or a frame's columns; a list of NumPy arrays of one shape is
    the array that they make. Raises InvalidDataError, which names the column, for one that is none
    of these, and for columns of different lengths.
    """
    columns = {str(name): _column(str(name), values) for name, values in arrays.items()}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        listed = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InvalidDataError(f"columns have different lengths: {listed}")
    return pa.table(columns)


def _column(name: str, values: Any) -> Any:
    try:
        if getattr(values, "ndim", 1) > 1:  # of NumPy, PyTorch or another library
            values = np.asarray(values)
        elif not isinstance(values, np.ndarray) and _is_of_arrays(values):
            values = np.stack(list(values))
        if isinstance(values, np.ndarray) and values.ndim > 1:
            return tensor_column.from_numpy(values)
        if isinstance(values, (pa.Array, pa.ChunkedArray)):
            return values
        return pa.array(values)
    except (pa.ArrowException, RuntimeError, TypeError, ValueError) as error:
        raise InvalidDataError(f"column {name} is no array: {first_line(error)}") from None


def _is_of_arrays(values: Any) -> bool:
    first = next(iter(values), None) if hasattr(values, "__iter__") else None
    return isinstance(first, np.ndarray) and first.ndim > 1
