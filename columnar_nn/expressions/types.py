"""Types of columns: Arrow's, with Velox's names, and the shape of a tensor column's row."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

DataType = Any
"""An Arrow data type (pyarrow has no type stubs); tensors are pa.FixedShapeTensorType."""

RowShape = tuple[int, ...]
"""Shape of the tensor of one row, without the batch dimension."""

INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
FLOATS = (pa.float32(), pa.float64())


def tensor_shape(data_type: DataType) -> RowShape | None:
    """Shape of one row of a tensor column, None for a column of another type."""
    if isinstance(data_type, pa.FixedShapeTensorType):
        return tuple(data_type.shape)
    return None


def row_size(shape: RowShape) -> int:
    """Elements of one row."""
    return math.prod(shape)


_TYPE_NAMES = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "TINYINT",
    pa.uint16(): "SMALLINT",
    pa.uint32(): "INTEGER",
    pa.uint64(): "BIGINT",
    pa.float32(): "REAL",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.large_string(): "VARCHAR",
    pa.binary(): "VARBINARY",
    pa.large_binary(): "VARBINARY",
    pa.null(): "UNKNOWN",
    pa.date32(): "DATE",
}


def type_name(data_type: DataType) -> str:
    """Velox's name of an Arrow type.

    Velox has no unsigned integers, which take the name of the signed type of their width, and
    no tensors, which are arrays of their elements.
    """
    if isinstance(data_type, pa.FixedShapeTensorType):
        return f"ARRAY<{type_name(data_type.value_type)}>"
    if pa.types.is_list(data_type) or pa.types.is_fixed_size_list(data_type):
        return f"ARRAY<{type_name(data_type.value_type)}>"
    if pa.types.is_struct(data_type):
        fields = (data_type.field(i) for i in range(data_type.num_fields))
        return f"ROW<{','.join(f'{f.name}:{type_name(f.type)}' for f in fields)}>"
    if pa.types.is_timestamp(data_type):
        return "TIMESTAMP"
    return _TYPE_NAMES.get(data_type, str(data_type).upper())


def is_scalar(data_type: DataType) -> bool:
    """Whether a value is a number, a date or time of up to 64 bits, or a text."""
    is_short: bool = pa.types.is_primitive(data_type) and data_type.bit_width <= 64
    is_text: bool = pa.types.is_string(data_type) or pa.types.is_large_string(data_type)
    return is_short or is_text


def is_comparable(data_type: DataType) -> bool:
    """Whether columns of the type are compared, sorted and grouped: not arrays, rows or tensors."""
    kinds = pa.types
    is_text = kinds.is_string(data_type) or kinds.is_large_string(data_type)
    is_bytes = kinds.is_binary(data_type) or kinds.is_large_binary(data_type)
    is_number = kinds.is_primitive(data_type) or kinds.is_decimal(data_type)
    others = kinds.is_null(data_type) or kinds.is_fixed_size_binary(data_type)
    return bool((is_text or is_bytes or is_number or others) and not kinds.is_interval(data_type))


def row_type_text(schema: pa.Schema) -> str:
    """Columns as name:TYPE, separated by commas."""
    return ", ".join(f"{field.name}:{type_name(field.type)}" for field in schema)


def is_key_type(data_type: DataType) -> bool:
    """Whether rows can be joined by values of a type."""
    is_binary = pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type)
    return is_binary or (is_scalar(data_type) and not pa.types.is_float16(data_type))
