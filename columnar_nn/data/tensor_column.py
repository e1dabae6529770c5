"""Arrow fixed_shape_tensor columns seen as NumPy arrays, and back, without a copy."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.errors import InvalidDataError


def tensor_type(dtype: str, shape: Sequence[int]) -> pa.FixedShapeTensorType:
    """Arrow type of a column whose every row is a row-major tensor of `shape`.

    Raises InvalidDataError for a dtype that is no number's.
    """
    numbers = np.dtype(dtype)
    if numbers.kind not in "iuf":
        raise InvalidDataError(f"tensors hold numbers, not {numbers.name}: convert with astype()")
    return pa.fixed_shape_tensor(pa.from_numpy_dtype(numbers), list(shape))


@functools.cache
def _types_of(dtype: np.dtype, shape: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Arrow types of a tensor column, of its storage and of its elements."""
    data_type = tensor_type(dtype.str, shape)
    return data_type, data_type.storage_type, data_type.value_type


def from_numpy(array: np.ndarray) -> pa.FixedShapeTensorArray:
    """A column over `array`, one row for each entry of its first axis; no copy if C-contiguous.

    Raises InvalidDataError for an array that holds no numbers.
    """
    rows = np.ascontiguousarray(array)
    if not rows.dtype.isnative:
        rows = rows.astype(rows.dtype.newbyteorder("="))
    types = _types_of(rows.dtype, rows.shape[1:])
    return _column(pa.py_buffer(rows), len(rows), rows.size, types)


def from_buffer(buffer: pa.Buffer, rows: int, dtype: np.dtype, shape: tuple[int, ...]) -> Any:
    """A column over memory that holds `rows` row-major tensors of `shape`."""
    return _column(buffer, rows, rows * math.prod(shape), _types_of(dtype, shape))


def _column(buffer: pa.Buffer, rows: int, items: int, types: tuple[Any, Any, Any]) -> Any:
    # made of buffers, an order of magnitude faster than by conversion: it is done for every batch
    data_type, storage_type, value_type = types
    values = pa.Array.from_buffers(value_type, items, [None, buffer])
    storage = pa.Array.from_buffers(storage_type, rows, [None], children=[values])
    return pa.ExtensionArray.from_storage(data_type, storage)


def refuse_nulls(column: pa.Array) -> None:
    """Raises InvalidDataError if a column of tensors has nulls, or null numbers in a tensor."""
    count = column.null_count
    if not count and column.storage.values.null_count:  # maybe before or behind a slice
        count = column.storage.flatten().null_count
    if count:
        raise InvalidDataError(f"image column has {count} null(s): drop them first")


def refuse_other_orders(data_type: Any, name: str) -> None:
    """Raises InvalidDataError unless the tensors of a type lie row-major, channels first.

    `permutation` says that the axes of a tensor are stored in another order than they are meant;
    `dim_names` are checked where they name an image's axes, in any order.
    """
    shape, permutation = list(data_type.shape), data_type.permutation
    if permutation not in (None, list(range(len(shape)))):
        raise InvalidDataError(
            f"{name} holds permuted tensors (permutation {permutation} of shape {shape}): "
            "store them row-major, without a permutation"
        )
    names = [str(axis).upper() for axis in data_type.dim_names or ()]
    if names != ["C", "H", "W"] and sorted(names) == ["C", "H", "W"]:
        raise InvalidDataError(f"{name} holds {'x'.join(names)} images: store them as CxHxW")


def to_numpy(column: pa.Array) -> np.ndarray:
    """View of a fixed_shape_tensor column as an array [rows, *shape], zero copy.

    Raises InvalidDataError for another column type, for nulls, for permuted dimensions, and where
    tensors hold no numbers.
    """
    if not isinstance(column.type, pa.FixedShapeTensorType):
        raise InvalidDataError(f"expected a fixed_shape_tensor column, found {column.type}")
    refuse_nulls(column)
    refuse_other_orders(column.type, "a column")
    shape = tuple(column.type.shape)
    row_size = math.prod(shape)
    # FixedSizeListArray.values ignores the slice's offset, so that it is applied here.
    storage = column.storage
    mine = storage.values.slice(storage.offset * row_size, len(column) * row_size)
    return numbers(mine).reshape(len(column), *shape)


def numbers(values: pa.Array) -> np.ndarray:
    """View of an Arrow array of numbers without nulls; raises InvalidDataError for another type.

    Arrow's own to_numpy imports pandas where it is installed, at the first batch: 0.25 s.
    """
    dtype = _dtype_of(values.type)
    if not len(values):
        return np.empty(0, dtype)
    start = values.offset * dtype.itemsize
    view = np.frombuffer(values.buffers()[1], dtype, len(values), start)
    view.flags.writeable = False
    return view


_FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}


@functools.cache
def _dtype_of(value_type: pa.DataType) -> np.dtype:
    """As Arrow's to_pandas_dtype, which imports pandas too; raises InvalidDataError."""
    if not (pa.types.is_integer(value_type) or pa.types.is_floating(value_type)):
        raise InvalidDataError(f"tensors hold numbers, not {value_type}: convert them first")
    name = str(value_type)
    return np.dtype(_FLOATS.get(name, name))
