"""TableScan and Values: batches handed out to the drivers of a pipeline, cut into morsels."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator

import pyarrow as pa

from columnar_nn.errors import InvalidDataError
from columnar_nn.operators.base import SourceOperator

MORSEL_ROWS = 256
"""Most rows of a morsel: the memory of a run depends on it, not on the size of batches."""

MIN_MORSEL_ROWS = 4
"""Rows below which handing a morsel to another thread costs more than it gains."""

UNKNOWN_BATCHES = 8
"""How many batches a stream is taken for that does not tell how many it has."""


def morsel_rows(left: int, rows: int, rows_after: int, num_drivers: int) -> int:
    """Rows of the next morsel of a batch of `rows`, of which `left` are left.

    With several drivers at most half of a fair share of what is left of the stream, which has
    `rows_after` more behind this batch (guided self-scheduling: Polychronopoulos and Kuck, 1987),
    so that all come to the end at about the same time and seldom take turns before: between
    kernels a driver needs the interpreter's lock, of which there is one. Morsels of more drivers
    are larger for the same reason. A batch is cut into about equal parts.
    """
    if num_drivers == 1:
        return MORSEL_ROWS
    least = min(max(MIN_MORSEL_ROWS, num_drivers), -(-rows // num_drivers))
    most = min(MORSEL_ROWS, max(least, -(-(left + rows_after) // (2 * num_drivers))))
    return -(-left // -(-left // most))


class ColumnSelection:
    """The columns that a scan gives, taken out of batches that may have others beside them.

    Not `narrow`, it leaves the others in place, for an operator that asks for columns by name.
    A schema is checked once, when it is first seen: batches of a stream share theirs.
    """

    def __init__(self, schema: pa.Schema, narrow: bool) -> None:
        self._schema = schema
        self._narrow = narrow
        self._accepted = schema
        self._names: list[str] | None = None

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The wanted columns of a batch; raises InvalidDataError if one is not as planned."""
        schema = batch.schema
        if schema is not self._accepted and schema != self._accepted:
            self._accept(schema)
        self._accepted = schema
        return batch if self._names is None else batch.select(self._names)

    def _accept(self, schema: pa.Schema) -> None:
        for field in self._schema:
            if field.name not in schema.names:
                raise InvalidDataError(f"a batch lacks column {field.name}: it has {schema.names}")
            if schema.field(field.name).type != field.type:
                raise InvalidDataError(
                    f"column {field.name} of a batch is {schema.field(field.name).type}; the plan "
                    f"was made for {field.type}"
                )
        others = schema.names != self._schema.names
        self._names = self._schema.names if others and self._narrow else None


class SharedSource:
    """Morsels of a stream of batches, each given to one of `num_drivers` and numbered in order."""

    def __init__(self, batches: Iterator[pa.RecordBatch], columns: ColumnSelection) -> None:
        self.num_drivers = 1
        self._batches = batches
        self._columns = columns
        self._lock = threading.Lock()
        self._batch: pa.RecordBatch | None = None
        self._start = 0
        self._num_fetched = 0
        self._next_sequence = 0
        self._exhausted = False

    def next_morsel(self) -> tuple[int, pa.RecordBatch, bool] | None:
        """Its number, its rows and whether it is known to be the last; None at the end.

        Empty batches are left out.
        """
        with self._lock:
            batch = self._present()
            if batch is None:
                return None
            rows = batch.num_rows
            rows_after = rows * self._batches_after() if self.num_drivers > 1 else 0
            step = morsel_rows(rows - self._start, rows, rows_after, self.num_drivers)
            start, self._start = self._start, self._start + step
            is_last = False
            if self._start >= rows:
                self._batch = None
                is_last = self._ends_here()
            sequence = self._next_sequence
            self._next_sequence += 1
        return sequence, batch if step >= rows else batch.slice(start, step), is_last

    def _present(self) -> pa.RecordBatch | None:
        """The batch that morsels are cut from; None at the end."""
        while (batch := self._batch) is None and not self._exhausted:  # `close` changes both
            fetched = next(self._batches, None)
            if fetched is None:
                self._exhausted = True
            elif fetched.num_rows:
                self._batch, self._start = self._columns.apply(fetched), 0
                self._num_fetched += 1
        return batch

    def _batches_after(self) -> int:
        """Batches behind the present one, if the stream tells; else as many as there have been."""
        return operator.length_hint(self._batches, self._num_fetched - 1)

    def expected_rows(self) -> int:
        """Rows of the stream if all batches are as large as the first; to be called first."""
        batch = self._present()
        if batch is None:
            return 0
        rows: int = batch.num_rows
        return rows * (1 + operator.length_hint(self._batches, UNKNOWN_BATCHES - 1))

    def _ends_here(self) -> bool:
        return self._exhausted or operator.length_hint(self._batches, 1) == 0

    def close(self) -> None:
        """Ends the stream early."""
        self._exhausted, self._batch = True, None


class Source(SourceOperator):
    """One driver's end of a shared source; `drained` is passed on with the morsel's number."""

    def __init__(
        self,
        plan_node_id: str,
        operator_type: str,
        shared: SharedSource,
        on_drained: Callable[[int], None] | None,
    ) -> None:
        super().__init__(plan_node_id)
        self.operator_type = operator_type
        self._shared = shared
        self._on_drained = on_drained
        self._is_drained = True
        self._finished = False

    def get_output(self) -> pa.RecordBatch | None:
        """The next morsel, None at the end."""
        morsel = self._shared.next_morsel()
        if morsel is None:
            self._finished = True
            return None
        self.sequence, batch, self._finished = morsel
        self._is_drained = False
        return batch

    def is_finished(self) -> bool:
        """Once the source has been found empty, or is known to be."""
        return self._finished

    def drained(self) -> bool:
        """Reports the morsel as done, once."""
        if self._is_drained or self._on_drained is None:
            return False
        self._is_drained = True
        self._on_drained(self.sequence)
        return True

    def close(self) -> None:
        """Reports the last morsel as done."""
        self.drained()
