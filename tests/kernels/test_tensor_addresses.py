"""tensor_addresses.py: where tensors lie, for slices of all kinds, beside pyarrow's own view."""

from __future__ import annotations

import ctypes
import gc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError
from columnar_nn.exec.tensor_addresses import TensorAddresses
from columnar_nn.kernels import Layout

SHAPE = (2, 3)
FLOATS, PIXELS = Layout("planar", SHAPE), Layout("uint8", SHAPE)


def tensors(dtype: str, rows: int, skipped: int = 0, mask: pa.Array | None = None) -> pa.Array:
    """Rows of counting numbers from `skipped` on, the first `skipped` numbers sliced off."""
    count = np.arange(skipped + 6 * rows, dtype=dtype)
    numbers = pa.array(count.tolist(), pa.from_numpy_dtype(count.dtype)).slice(skipped)
    lists = pa.FixedSizeListArray.from_arrays(numbers, 6, mask=mask)
    return pa.ExtensionArray.from_storage(tensor_column.tensor_type(dtype, SHAPE), lists)


def first_number(address: int, dtype: str) -> float:
    kind = {"float32": ctypes.c_float, "uint8": ctypes.c_uint8}[dtype]
    return float(kind.from_address(address).value)


@given(
    rows=st.integers(1, 20),
    skipped=st.integers(0, 9),
    start=st.integers(0, 19),
    swapped=st.booleans(),
)
@settings(deadline=None)  # the first example may compile the kernel
def test_first_rows_of_slices(rows: int, skipped: int, start: int, swapped: bool) -> None:
    start = min(start, rows - 1)
    columns = {
        "a": tensors("float32", rows, skipped),
        "id": pa.array(range(rows)),
        "b": tensors("uint8", rows),
    }
    batch = pa.record_batch(dict(reversed(columns.items())) if swapped else columns)
    a, b = TensorAddresses([("a", FLOATS), ("b", PIXELS)]).of(batch.slice(start))
    assert first_number(a, "float32") == skipped + 6 * start
    assert first_number(b, "uint8") == 6 * start
    assert batch.slice(start).column("a")[0].as_py()[0] == skipped + 6 * start


def test_batches_with_their_columns_at_other_places() -> None:
    addresses = TensorAddresses([("a", FLOATS)])
    for skipped, others in enumerate([(), ("id",), ("id", "label"), ()]):
        columns = {name: pa.array([0, 1]) for name in others}
        batch = pa.record_batch({**columns, "a": tensors("float32", 2, skipped)})
        assert first_number(addresses.of(batch)[0], "float32") == skipped


def test_nulls_are_refused_unless_sliced_off() -> None:
    column = tensors("float32", 3, mask=pa.array([True, False, False]))
    batch = pa.record_batch({"a": column})
    addresses = TensorAddresses([("a", FLOATS)])
    with pytest.raises(InvalidDataError, match="1 null"):
        addresses.of(batch)
    assert first_number(addresses.of(batch.slice(1))[0], "float32") == 6


def test_null_numbers_are_refused_unless_sliced_off() -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array([None, *range(11)], pa.float32()), 6)
    column = pa.ExtensionArray.from_storage(tensor_column.tensor_type("float32", SHAPE), lists)
    batch = pa.record_batch({"a": column})
    addresses = TensorAddresses([("a", FLOATS)])
    with pytest.raises(InvalidDataError, match="1 null"):
        addresses.of(batch)
    with pytest.raises(InvalidDataError, match="1 null"):
        tensor_column.to_numpy(column)
    assert first_number(addresses.of(batch.slice(1))[0], "float32") == 5
    assert tensor_column.to_numpy(column.slice(1)).tolist() == [[[5, 6, 7], [8, 9, 10]]]


def test_what_a_batch_gives_out_is_given_back() -> None:
    addresses = TensorAddresses([("a", FLOATS)])
    pool = pa.proxy_memory_pool(pa.default_memory_pool())  # counts nobody else's memory
    numbers = pa.array([0.5] * 6000, pa.float32(), memory_pool=pool)
    lists = pa.FixedSizeListArray.from_arrays(numbers, 6)
    column = pa.ExtensionArray.from_storage(tensor_column.tensor_type("float32", SHAPE), lists)
    batch = pa.record_batch({"a": column})
    assert pool.bytes_allocated() >= 24_000
    addresses.of(batch)
    del numbers, lists, column, batch
    gc.collect()
    assert pool.bytes_allocated() == 0
