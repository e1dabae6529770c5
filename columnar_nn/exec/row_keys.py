"""Keys of rows as 64-bit numbers, and whether they are equal: what a join looks rows up by.

Keys are equal as values of Velox are: one NaN, one zero, text byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.functions import floats

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, odd: to multiply by it is a bijection (Knuth, TAOCP 3, 6.4)."""

_WORD_BYTES = 8
_KEPT_BITS = np.array([(1 << 8 * size) - 1 for size in range(_WORD_BYTES + 1)], np.uint64)
"""Of a word that is the last of a text, by the number of bytes that are left."""


class RowKeys:
    """The keys of some rows, of any number of columns.

    `hashes` are equal where keys are; where there is one column of numbers, or none, only there:
    then they are `exact`. `valid` is False where a key is null, None if none is.
    """

    def __init__(self, columns: Sequence[pa.Array], num_rows: int) -> None:
        self._columns = [_Column(column) for column in columns]
        self.exact = not columns or (len(columns) == 1 and self._columns[0].numbers is not None)
        self.hashes = np.zeros(num_rows, np.uint64)
        for column in self._columns:
            self.hashes = _mixed(self.hashes ^ column.words)
        self.valid: np.ndarray | None = None
        nullable = [column for column in columns if column.null_count]
        if nullable:
            valid = [column.is_valid().to_numpy(zero_copy_only=False) for column in nullable]
            self.valid = np.logical_and.reduce(valid)

    def equal(self, rows: np.ndarray, others: RowKeys, other_rows: np.ndarray) -> np.ndarray:
        """Whether the keys of `rows` are those of as many rows of others; no key is null."""
        pairs = zip(self._columns, others._columns, strict=True)
        equal = [mine.equal(rows, other, other_rows) for mine, other in pairs]
        result: np.ndarray = np.logical_and.reduce(equal)
        return result


class _Column:
    """`numbers` are the bits of numbers in canonical form; None of text, whose words are hashes."""

    def __init__(self, column: pa.Array) -> None:
        self._values = column
        is_number = pa.types.is_primitive(column.type)
        self.numbers = _bits(column) if is_number else None
        self.words = _text_hashes(column) if self.numbers is None else self.numbers

    def equal(self, rows: np.ndarray, other: _Column, other_rows: np.ndarray) -> np.ndarray:
        if self.numbers is not None and other.numbers is not None:
            result: np.ndarray = self.numbers[rows] == other.numbers[other_rows]
            return result
        is_whole = len(rows) == len(self._values) and bool((rows == np.arange(len(rows))).all())
        mine = self._values if is_whole else self._values.take(pa.array(rows))
        same = pc.equal(mine, other._values.take(pa.array(other_rows)))
        return np.asarray(same.to_numpy(zero_copy_only=False), bool)


def _mixed(words: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit numbers whose leading bits depend on all of theirs."""
    mixed: np.ndarray = (words ^ (words >> np.uint64(32))) * _FACTOR
    return mixed


def _bits(column: pa.Array) -> np.ndarray:
    """Bits of numbers, the same for all zeros and for all NaNs; anything where they are null."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    column = floats.one_pattern(column)
    width = column.type.bit_width // 8
    values: np.ndarray = _buffer(column.buffers()[1], np.dtype(f"i{width}"), column)
    bits: np.ndarray = values.astype(np.int64).view(np.uint64)
    return bits


def _buffer(buffer: pa.Buffer | None, dtype: np.dtype, column: pa.Array, more: int = 0) -> Any:
    """The column's values in a buffer that holds one of `dtype` a row, and `more` behind them."""
    if buffer is None:
        return np.zeros(len(column) + more, dtype)
    start = column.offset * dtype.itemsize
    return np.frombuffer(buffer, dtype, len(column) + more, start)


def _text_hashes(column: pa.Array) -> np.ndarray:
    """Hashes of strings or binary values, eight bytes of all of them at a time."""
    is_large = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    _, offsets_buffer, data = column.buffers()
    if not len(column):
        return np.zeros(0, np.uint64)
    offset_type = np.dtype(np.int64 if is_large else np.int32)
    offsets = _buffer(offsets_buffer, offset_type, column, 1).astype(np.int64)
    lengths = np.diff(offsets)
    hashes = _mixed(lengths.view(np.uint64))
    first, size = offsets[0], offsets[-1] - offsets[0]
    if not size:
        return hashes
    padded = np.zeros(size + _WORD_BYTES, np.uint8)
    padded[:size] = np.frombuffer(data, np.uint8, size, first)
    words = np.ndarray((size + 1,), np.uint64, padded, strides=(1,))  # one from each byte on
    places, rows, left = offsets[:-1] - first, np.flatnonzero(lengths), lengths
    while len(rows):
        word = words[places[rows]] & _KEPT_BITS[np.minimum(left[rows], _WORD_BYTES)]
        hashes[rows] = _mixed(hashes[rows] ^ word)
        places, left = places + _WORD_BYTES, left - _WORD_BYTES
        rows = rows[left[rows] > 0]
    return hashes
