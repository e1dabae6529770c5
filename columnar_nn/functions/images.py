"""decode_image and to_tensor: columns of other kinds as columns of image tensors.

    decode_image(png, shape => array[3, 32, 32], resize => true)
    to_tensor(pixels, shape => array[3, 32, 32])

`shape` is that of a row, channels first; as an argument of a network it may be left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import encoded_images, image_column, tensor_column
from columnar_nn.errors import InvalidDataError, InvalidPlanError
from columnar_nn.expressions.types import DataType, type_name
from columnar_nn.functions.scalar import ScalarFunction

_BYTES = (pa.binary(), pa.large_binary())


def _checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, tuple) else ()
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise InvalidPlanError(f"{name} needs the shape of a row: shape => array[3, 32, 32]")
    return sizes


def _only(name: str, types: Sequence[DataType]) -> DataType:
    if len(types) != 1:
        raise InvalidPlanError(f"function {name} takes 1 argument(s), not {len(types)}")
    return types[0]


def _decoded_type(
    name: str, types: Sequence[DataType], shape: Any = None, resize: Any = False
) -> tuple[list[DataType], DataType]:
    sizes = _checked_shape(name, shape)
    if len(sizes) != 3 or sizes[0] not in (1, 3):
        raise InvalidPlanError(f"{name} makes images of 1 or 3 channels: shape => array[3, H, W]")
    if not isinstance(resize, bool):
        raise InvalidPlanError(f"{name}: resize is true or false")
    if _only(name, types) not in _BYTES:
        raise InvalidPlanError(f"{name} takes PNG or JPEG files as VARBINARY, not {types[0]}")
    return list(types), tensor_column.tensor_type("uint8", sizes)


def _decoded(column: Any, shape: tuple[int, int, int], resize: bool = False) -> Any:
    pixels = np.zeros((len(column), *shape), np.uint8)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(valid):
        try:
            pixels[row] = encoded_images.decode(column[row].as_py(), shape, resize)
        except InvalidDataError as error:
            raise pa.ArrowInvalid(str(error)) from None
    tensors = tensor_column.from_numpy(pixels)
    return tensors if valid.all() else _with_nulls(tensors, valid)


def _tensor_type(
    name: str, types: Sequence[DataType], shape: Any = None
) -> tuple[list[DataType], DataType]:
    sizes = _checked_shape(name, shape)
    source = _only(name, types)
    try:
        dtype = image_column.pixel_dtype(source, name, "uint8", sizes)
    except InvalidDataError as error:
        raise InvalidPlanError(f"{name}({type_name(source)}): {error}") from None
    return list(types), tensor_column.tensor_type(dtype, sizes)


def _tensors(column: Any, shape: tuple[int, ...]) -> Any:
    dtype = image_column.pixel_dtype(column.type, "to_tensor", "uint8", shape)
    images = image_column.images(column, dtype, shape)
    if images.good is None:
        return images.tensors
    assert images.errors is not None
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(valid & ~images.good):
        raise pa.ArrowInvalid(images.errors[int(row)].as_py())
    values = np.zeros((len(column), math.prod(shape)), np.dtype(dtype))
    values[valid] = tensor_column.to_numpy(images.tensors).reshape(-1, math.prod(shape))
    return _with_nulls(tensor_column.from_numpy(values.reshape(-1, *shape)), valid)


def _with_nulls(tensors: Any, valid: np.ndarray) -> Any:
    storage = pa.FixedSizeListArray.from_arrays(
        tensors.storage.values, math.prod(tensors.type.shape), mask=pa.array(~valid)
    ).cast(tensors.type.storage_type)
    return pa.ExtensionArray.from_storage(tensors.type, storage)


FUNCTIONS = {
    "decode_image": ScalarFunction(_decoded_type, _decoded, attributes=("shape", "resize")),
    "to_tensor": ScalarFunction(_tensor_type, _tensors, attributes=("shape",)),
}
