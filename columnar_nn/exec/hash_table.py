"""The build side of a join: its rows in groups of equal keys, found by the hash of a key."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from columnar_nn.exec.expansion import spread
from columnar_nn.exec.row_keys import RowKeys

_NONE = np.zeros(0, np.int64)


class HashTable:
    """Rows grouped by key, those without a null in it.

    Groups are sorted by hash; keys whose hashes collide may be in several groups. A directory of
    the hashes' leading bits, enough to number the groups twice, says where the groups with these
    bits begin, seldom more than one: a lookup does not depend on the size of the table. All is done
    for many rows at once. `is_unique` says that each group is one row.
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
        self._has_collisions = False
        if not keys.exact and len(order):
            differs = ~keys.equal(order[1:], keys, order[:-1])
            self._has_collisions = bool((differs & ~is_first[1:]).any())
            is_first[1:] |= differs
        firsts = np.flatnonzero(is_first)
        self.is_unique = len(firsts) == len(order)
        self._order = order
        self._begins = np.append(firsts, len(order))
        self._first_rows = order[firsts]
        self._hashes = hashes[firsts]
        bits = max(1, (2 * len(firsts)).bit_length())
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
        if not self._hashes.size:
            return _NONE, _NONE
        of_hash = self._all_of_hash if self._has_collisions else self._only_of_hash
        rows, groups = of_hash(keys.hashes)
        if keys.valid is not None:
            valid = keys.valid[rows]
            rows, groups = rows[valid], groups[valid]
        if not keys.exact and len(rows):
            same = keys.equal(rows, self._keys, self._first_rows[groups])
            if not same.all():
                rows, groups = rows[same], groups[same]
        return rows, groups

    def _all_of_hash(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(row, group) wherever a row's hash is that of a group."""
        prefixes = (hashes >> self._shift).view(np.int64)
        begins = self._directory[prefixes]
        rows, groups = spread(begins, self._directory[prefixes + 1] - begins)
        same = self._hashes[groups] == hashes[rows]
        return rows[same], groups[same]

    def _only_of_hash(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Likewise, where no two groups have the same hash.

        Each row looks at the first group with its leading bits, those that fail at the next, and so
        on.
        """
        prefixes = (hashes >> self._shift).view(np.int64)
        groups = self._directory[prefixes]
        same = self._hashes.take(groups, mode="clip") == hashes
        found: np.ndarray = np.where(same, groups, -1)
        left = np.flatnonzero(~same)
        groups, ends = groups[left] + 1, self._directory[prefixes[left] + 1]
        while len(left):
            inside = np.flatnonzero(groups < ends)
            left, groups, ends = left[inside], groups[inside], ends[inside]
            same = self._hashes[groups] == hashes[left]
            found[left[same]] = groups[same]
            others = np.flatnonzero(~same)
            left, groups, ends = left[others], groups[others] + 1, ends[others]
        rows = np.flatnonzero(found >= 0)
        return rows, found if len(rows) == len(found) else found[rows]

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
