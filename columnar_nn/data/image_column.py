"""An image column as other engines have it, seen as tensors, and which of its rows are none.

Images are row-major values, channels first, in one of these Arrow types:

binary, large_binary,       the bytes of an image; views and dictionaries are decoded first
fixed_size_binary
list, large_list,           its values: uint8 or float32; int8 is taken for uint8 bit by bit, and
fixed_size_list             int16 for uint8 by value, being what Spark makes of uint8
fixed_shape_tensor          of these values; fixed-size lists within each other too, as polars has
                            arrays of several axes

Memory is shared where all rows of a column are images that lie one behind the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.data import tensor_column
from columnar_nn.data.arrow_source import decoded_type, decoded_values
from columnar_nn.errors import InvalidDataError

DTYPES = ("uint8", "float32")
"""What pixels may be: 0 to 255, or what the network takes as it is."""

_FILES = (b"\x89PNG", b"\xff\xd8\xff")
"""What PNG and JPEG files begin with."""

_VALUES = {pa.uint8(): "uint8", pa.int8(): "uint8", pa.int16(): "uint8", pa.float32(): "float32"}


@dataclass(frozen=True)
class Images:
    """The images of a column: `tensors` of the rows that are `good`, in their order.

    `good` is bool [rows], None where all are; `errors` then says of each other row what is wrong
    with it, and is null of the good ones.
    """

    tensors: pa.Array
    good: np.ndarray | None = None
    errors: pa.Array | None = None


def pixel_dtype(data_type: pa.DataType, name: str, dtype: str, shape: tuple[int, ...]) -> str:
    """The dtype of pixels in a column of this type: `dtype` in bytes, elsewhere what it says.

    Raises InvalidDataError, with advice, for a type that holds no images of C x H x W `shape`.
    """
    data_type = decoded_type(data_type)
    if _is_bytes(data_type):
        return dtype
    if isinstance(data_type, pa.FixedShapeTensorType):
        tensor_column.refuse_other_orders(data_type, f"column {name}")
        if tuple(data_type.shape) != shape:
            raise InvalidDataError(
                f"column {name} holds tensors of {_text(data_type.shape)}; the network takes "
                f"{_text(shape)}: resize the images"
            )
    elif pa.types.is_fixed_size_list(data_type):
        sizes, data_type = _nested(data_type)
        if sizes not in (shape, (math.prod(shape),)):
            raise InvalidDataError(
                f"column {name} holds lists of {_text(sizes)} values; the network takes "
                f"{_text(shape)}, which is {math.prod(shape)}: resize the images"
            )
    elif not (pa.types.is_list(data_type) or pa.types.is_large_list(data_type)):
        raise InvalidDataError(
            f"column {name} is {data_type}, which holds no images: store each as binary, its "
            "pixels row-major, channels first"
        )
    if data_type.value_type not in _VALUES:
        raise InvalidDataError(
            f"column {name} holds {data_type.value_type} values: cast them to float32, or store "
            "uint8 pixels as binary"
        )
    return _VALUES[data_type.value_type]


def images(column: pa.Array, dtype: str, shape: tuple[int, ...]) -> Images:
    """The images of a column whose type `pixel_dtype` took; shared memory where it allows."""
    column = _in_one_list(_decoded(column))
    size = math.prod(shape)
    unit = size * np.dtype(dtype).itemsize if _is_bytes(column.type) else size
    wrong = _wrong_rows(column, unit)
    if wrong is None:
        values = _values(column, unit)
        wrong = _wrong_values(values, size)
        if wrong is None:
            return Images(_tensors(values, dtype, shape))
    good = ~wrong
    kept = column.filter(pa.array(good))
    values = _values(kept, unit)
    wrong = _wrong_values(values, size)
    if wrong is not None:
        good[np.flatnonzero(good)[wrong]] = False
        values = _values(kept.filter(pa.array(~wrong)), unit)
    return Images(_tensors(values, dtype, shape), good, _errors(column, good, unit))


def _text(shape: Any) -> str:
    return "x".join(map(str, shape))


def _is_bytes(data_type: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(is_kind(data_type) for is_kind in kinds)


def _decoded(column: pa.Array) -> pa.Array:
    """Without dictionary or view, and a tensor column as the list that it is stored in."""
    if isinstance(column, pa.ExtensionArray):
        return column.storage
    return decoded_values(column)


def _nested(data_type: pa.DataType) -> tuple[tuple[int, ...], pa.DataType]:
    """The lengths of fixed-size lists within each other, and the type of the innermost one."""
    if not pa.types.is_fixed_size_list(data_type.value_type):
        return (data_type.list_size,), data_type
    sizes, innermost = _nested(data_type.value_type)
    return (data_type.list_size, *sizes), innermost


def _in_one_list(column: pa.Array) -> pa.Array:
    """Fixed-size lists of such lists as lists of all of their values; memory is shared."""
    while pa.types.is_fixed_size_list(column.type) and pa.types.is_fixed_size_list(
        column.type.value_type
    ):
        inner, length = column.values, column.type.value_type.list_size
        values = inner.values.slice(inner.offset * length, len(inner) * length)
        if inner.null_count:
            valid = np.repeat(inner.is_valid().to_numpy(zero_copy_only=False), length)
            values = pc.if_else(pa.array(valid), values, pa.nulls(len(values), values.type))
        nulls = None
        if column.null_count:
            nulls = np.ones(len(column) + column.offset, bool)
            nulls[column.offset :] = column.is_null().to_numpy(zero_copy_only=False)
            nulls = pa.array(nulls)
        whole = pa.FixedSizeListArray.from_arrays(
            values, column.type.list_size * length, mask=nulls
        )
        column = whole.slice(column.offset, len(column))
    return column


def _offsets(column: pa.Array) -> np.ndarray:
    """Where each row of a column of varying length begins, and the last one ends: [rows + 1]."""
    is_large = pa.types.is_large_binary(column.type) or pa.types.is_large_list(column.type)
    dtype = np.dtype(np.int64 if is_large else np.int32)
    buffer = column.buffers()[1]
    if not len(column) or buffer is None:
        return np.zeros(1, dtype)
    return np.frombuffer(buffer, dtype, len(column) + 1, column.offset * dtype.itemsize)


def _has_offsets(column: pa.Array) -> bool:
    return not (
        pa.types.is_fixed_size_list(column.type) or pa.types.is_fixed_size_binary(column.type)
    )


def _wrong_rows(column: pa.Array, unit: int) -> np.ndarray | None:
    """Rows that are null or not `unit` values or bytes long; None if there are none."""
    wrong = np.zeros(len(column), bool)
    if column.null_count:
        wrong |= column.is_null().to_numpy(zero_copy_only=False)
    if _has_offsets(column):
        wrong |= np.diff(_offsets(column)) != unit
    elif pa.types.is_fixed_size_binary(column.type):
        wrong |= column.type.byte_width != unit
    return wrong if wrong.any() else None


def _values(column: pa.Array, unit: int) -> pa.Array:
    """What the rows hold, one behind the other, `unit` of each: bytes, or values of a list."""
    rows = len(column)
    first = int(_offsets(column)[0]) if _has_offsets(column) else column.offset * unit
    if not _is_bytes(column.type):
        return column.values.slice(first, rows * unit)
    buffer = column.buffers()[-1] if rows else None
    if buffer is None:
        return pa.array([], pa.uint8())
    return pa.Array.from_buffers(pa.uint8(), rows * unit, [None, buffer.slice(first, rows * unit)])


def _wrong_values(values: pa.Array, size: int) -> Any:
    """Images of which a value is null, or no pixel; None if there are none."""
    wrong = np.zeros(len(values), bool)
    if values.null_count:
        wrong |= values.is_null().to_numpy(zero_copy_only=False)
    if values.type == pa.int16():
        numbers = values.fill_null(0).to_numpy()
        wrong |= (numbers < 0) | (numbers > 255)
    return np.any(wrong.reshape(-1, size), axis=1) if wrong.any() else None


def _tensors(values: pa.Array, dtype: str, shape: tuple[int, ...]) -> pa.Array:
    """Values as a column of tensors; a copy only if they are of another width or unaligned."""
    if values.type == pa.int16():
        values = values.cast(pa.uint8())
    array = values.to_numpy().view(np.dtype(dtype))
    if not array.flags.aligned:
        array = array.copy()
    return tensor_column.from_numpy(array.reshape(-1, *shape))


def _errors(column: pa.Array, good: np.ndarray, unit: int) -> pa.Array:
    """What is wrong with each row that is not good, by its length; of no other."""
    kind = "bytes" if _is_bytes(column.type) else "values"
    texts: list[str | None] = [None] * len(column)
    for row in np.flatnonzero(~good):
        if not column[row].is_valid:
            texts[row] = "the image is null"
        elif kind == "bytes" and column[row].as_py().startswith(_FILES):
            texts[row] = "the image is a PNG or JPEG file: decode it first (SQL: decode_image)"
        elif (length := len(column[row].as_py())) != unit:
            texts[row] = f"the image has {length:,} {kind} instead of {unit:,}"
        else:
            texts[row] = "the image has a value that is null, or no pixel from 0 to 255"
    return pa.array(texts, pa.string())
