"""Columns become arrays of their rows, whatever their chunks, and the rest is refused in a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import columnar_nn as cnn

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.integers(0, 256, (7, 3, 4, 5), dtype=np.uint8),
    RNG.normal(size=(7, 10)).astype(np.float32),
    RNG.normal(size=(7, 1)),
]


def chunked(array: np.ndarray, cuts: list[int]) -> pa.ChunkedArray:
    parts = np.split(array, cuts)
    return pa.chunked_array([cnn.from_numpy(part) for part in parts])


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.shape))
@pytest.mark.parametrize("cuts", [[], [3], [0, 2, 2, 7]], ids=str)
def test_tensors_of_any_chunks(array: np.ndarray, cuts: list[int]) -> None:
    column = chunked(array, cuts)
    found = cnn.to_numpy(column)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(cnn.to_numpy(column.slice(2, 4)), array[2:6])
    np.testing.assert_array_equal(cnn.to_numpy(column.slice(7)), array[7:])


def test_one_chunk_is_not_copied() -> None:
    for array in (*ARRAYS, np.arange(5)):
        column = cnn.from_numpy(array) if array.ndim > 1 else pa.array(array)
        assert np.shares_memory(cnn.to_numpy(pa.chunked_array([column])), array)


def test_a_column_without_chunks() -> None:
    kind = cnn.from_numpy(ARRAYS[0]).type
    assert cnn.to_numpy(pa.chunked_array([], kind)).shape == (0, 3, 4, 5)
    assert cnn.to_numpy(pa.chunked_array([], pa.int64())).shape == (0,)
    assert cnn.to_numpy(pa.chunked_array([], pa.list_(pa.int64()))).shape == (0, 0)


ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(ROWS),
        pa.array([[0.0], *ROWS]).slice(1),
        pa.chunked_array([ROWS[:1], [], ROWS[1:]], pa.list_(pa.float64())),
        pa.array(ROWS, pa.large_list(pa.float32())),
        pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int16(), 2)),
        pl.Series(ROWS),
        pl.Series(ROWS, dtype=pl.Array(pl.Float32, 2)),
    ],
    ids=lambda column: str(getattr(column, "type", type(column))),
)
def test_lists_of_one_length(column: Any) -> None:
    np.testing.assert_array_equal(cnn.to_numpy(column), ROWS)


def test_lists_of_lists() -> None:
    rows = [[[1, 2, 3], [4, 5, 6]]] * 4
    np.testing.assert_array_equal(cnn.to_numpy(pa.array(rows)), rows)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([3, 1], pa.int8()), [3, 1]),
        (pa.chunked_array([[True], [False, True]]), [True, False, True]),
        (pa.array([2.0, 2.0, 0.5]).dictionary_encode(), [2, 2, 0.5]),
        (pl.Series([1, 2]), [1, 2]),
    ],
)
def test_numbers(column: Any, expected: list[object]) -> None:
    assert cnn.to_numpy(column).tolist() == expected


def test_numbers_of_another_byte_order() -> None:
    array = ARRAYS[1].astype(">f4")
    np.testing.assert_array_equal(cnn.to_numpy(cnn.from_numpy(array)), array)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([[None]]), np.zeros((2, 3), bool)])
def test_what_is_no_tensor(array: np.ndarray) -> None:
    with pytest.raises(cnn.InvalidDataError, match="tensors hold numbers, not"):
        cnn.from_numpy(array)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1, None]), r"has 1 null\(s\): drop or fill them"),
        (pa.array([[1], None]), r"has 1 null\(s\)"),
        (pa.array([[1, None]]), r"has 1 null\(s\)"),
        (pa.array([[1], [2, 3]]), "lists of 1 to 2 values"),
        (pa.chunked_array([[[1]], [[2, 3]]]), "lists of 1 to 2 values"),
        (pa.array(["a"]), "holds string, no numbers"),
        (pa.table({"x": [1]}), "cannot make an array of Table: pass a column of a table"),
        (pl.DataFrame({"x": [1]}), "cannot make an array of DataFrame"),
        ([1, 2], "cannot make an array of list"),
    ],
)
def test_what_has_no_array(column: Any, message: str) -> None:
    with pytest.raises(cnn.InvalidDataError, match=message):
        cnn.to_numpy(column)
