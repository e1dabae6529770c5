"""What a DISTINCT aggregate is of: each value once, in each group of equal keys."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from columnar_nn.exec.grouping import grouped
from columnar_nn.functions import floats


class DistinctValues:
    """Collects the values of a column by keys that are equal bit by bit where they are equal."""

    def __init__(self, keys: Sequence[str], column: str) -> None:
        self._column = column
        self._names = [*keys, column]
        self._parts: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        """Takes keys and values of more rows."""
        values = floats.one_pattern(rows.column(self._column))
        columns = [*(rows.column(name) for name in self._names[:-1]), values]
        self._parts.append(pa.table(columns, names=self._names))
        self._parts = [grouped(pa.concat_tables(self._parts), self._names, [])]

    @property
    def nbytes(self) -> int:
        """Bytes of what is held."""
        return sum(part.nbytes for part in self._parts)

    def table(self) -> pa.Table | None:
        """Keys and values, null being one, so that no group is missing; None before any rows."""
        return self._parts[0] if self._parts else None
