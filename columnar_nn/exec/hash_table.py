"""The build side of a join: its rows in groups of equal keys, found by the hash of a key."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from columnar_nn.exec.expansion import spread
from columnar_nn.exec.row_keys import RowKeys


class HashTable:
    """Rows grouped by key, those without a null in it.

    Groups are sorted by hash. A directory of the hashes' leading bits, about as many as number the
    groups, says where the groups with these bits begin, which are one or two: a lookup does not
    depend on the size of the table. All is done for many rows at once. `is_unique` says that each
    group is one row.
    """

    def __init__(self, rows: pa.RecordBatch, keys: RowKeys) -> None:
        self.rows = rows
        self.has_null_keys = keys.valid is not None and not keys.valid.all()
        self._keys = keys
        valid = np.arange(rows.num_rows) if keys.valid is None else np.flatnonzero(keys.valid)
        order = valid[np.argsort(keys.hashes[valid], kind="stable")]
        hashes = keys.hashes[order]
        is_first = np.ones(len(order), bool)
        is_first[1:] = hashes[1:] != hashes[:-1]
        if not keys.exact and len(order):
            is_first[1:] |= ~keys.equal(order[1:], keys, order[:-1])
        firsts = np.flatnonzero(is_first)
        self.is_unique = len(firsts) == len(order)
        self._order = order
        self._begins = np.append(firsts, len(order))
        self._first_rows = order[firsts]
        self._hashes = hashes[firsts]
        bits = max(1, len(firsts).bit_length())
        self._shift = np.uint64(64 - bits)
        prefixes = np.arange((1 << bits) + 1, dtype=np.uint64)
        self._directory = np.searchsorted(self._hashes >> self._shift, prefixes)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, and of what finds them."""
        parts = (self._order, self._begins, self._first_rows, self._hashes, self._directory)
        size: int = self.rows.nbytes + self._keys.hashes.nbytes + sum(p.nbytes for p in parts)
        return size

    def find(self, keys: RowKeys) -> tuple[np.ndarray, np.ndarray]:
        """(row, group) wherever the key of a row is that of a group, in the order of the rows."""
        prefixes = (keys.hashes >> self._shift).view(np.int64)
        begins = self._directory[prefixes]
        counts = self._directory[prefixes + 1] - begins
        if keys.valid is not None:
            counts[~keys.valid] = 0
        rows, groups = spread(begins, counts)
        same = self._hashes[groups] == keys.hashes[rows]
        rows, groups = rows[same], groups[same]
        if not keys.exact and len(rows):
            same = keys.equal(rows, self._keys, self._first_rows[groups])
            rows, groups = rows[same], groups[same]
        return rows, groups

    def sizes(self, groups: np.ndarray) -> np.ndarray:
        """How many rows each of the groups has."""
        sizes: np.ndarray = self._begins[groups + 1] - self._begins[groups]
        return sizes

    def pairs(self, rows: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each of `rows` beside each row of its group, in the order of both."""
        if self.is_unique:
            return rows, self._first_rows[groups]
        positions, members = spread(self._begins[groups], self.sizes(groups))
        return rows[positions], self._order[members]
