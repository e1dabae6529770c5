"""Arrow fixed_shape_tensor columns seen as NumPy arrays, and back, without a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from columnar_nn.errors import InvalidDataError


def tensor_type(dtype: str, shape: Sequence[int]) -> pa.FixedShapeTensorType:
    """Arrow type of a column whose every row is a row-major tensor of `shape`."""
    return pa.fixed_shape_tensor(pa.from_numpy_dtype(np.dtype(dtype)), list(shape))


def from_numpy(array: np.ndarray) -> pa.FixedShapeTensorArray:
    """A column over `array`, one row for each entry of its first axis; no copy if C-contiguous."""
    rows = np.ascontiguousarray(array)
    row_shape = rows.shape[1:]
    storage = pa.FixedSizeListArray.from_arrays(
        pa.array(rows.reshape(-1)), int(np.prod(row_shape, dtype=np.int64))
    )
    return pa.ExtensionArray.from_storage(tensor_type(str(rows.dtype), row_shape), storage)


def to_numpy(column: pa.Array) -> np.ndarray:
    """View of a fixed_shape_tensor column as an array [rows, *shape], zero copy.

    Raises InvalidDataError for another column type, for nulls, and for permuted dimensions.
    """
    if not isinstance(column.type, pa.FixedShapeTensorType):
        raise InvalidDataError(f"expected a fixed_shape_tensor column, found {column.type}")
    if column.null_count:
        raise InvalidDataError(f"image column has {column.null_count} null(s): drop them first")
    shape = tuple(column.type.shape)
    if column.type.permutation not in (None, list(range(len(shape)))):
        raise InvalidDataError("fixed_shape_tensor column is permuted: store it row-major")
    row_size = int(np.prod(shape, dtype=np.int64))
    # FixedSizeListArray.values ignores the slice's offset, so that it is applied here.
    values = column.storage.values.to_numpy(zero_copy_only=True)
    start = column.storage.offset * row_size
    return values[start : start + len(column) * row_size].reshape(len(column), *shape)
