"""Morsels: a stream of batches cut into pieces, handed out to the drivers of a pipeline."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from columnar_nn.data.arrow_source import decoded_type, decoded_values
from columnar_nn.errors import InvalidDataError, first_line
from columnar_nn.exec.waiting import acquire_unless

MORSEL_ROWS = 256
"""Most rows of a morsel: the memory of a run depends on it, not on the size of batches."""

SCALAR_MORSEL_ROWS = 16384
"""Instead, where a row is a few numbers and texts and no kernel reads it: Arrow computes a column
in less time than Python takes to ask for it. A join of a million rows with 100,000 takes 0.07 s
instead of 0.69 (0.11 with 4,096 rows), by text 0.20 instead of 1.44 (0.28).
"""

LEAST_SHARE = 64
"""Of the most rows of a morsel, below which handing one to another thread costs more than it gains:
4 images, 256 rows of numbers and texts.
"""

UNKNOWN_BATCHES = 8
"""How many batches a stream is taken for that does not tell how many it has."""


_END = object()


def morsel_rows(left: int, rows: int, rows_after: int, num_drivers: int, most: int) -> int:
    """Rows of the next morsel of a batch of `rows`, of which `left` are left: `most` at most.

    With several drivers at most half of a fair share of what is left of the stream, which has
    `rows_after` more behind this batch (guided self-scheduling: Polychronopoulos and Kuck, 1987),
    so that all come to the end at about the same time and seldom take turns before: between
    kernels a driver needs the interpreter's lock, of which there is one. Morsels of more drivers
    are larger for the same reason. A batch is cut into about equal parts.
    """
    if num_drivers == 1:
        return most
    least = min(max(most // LEAST_SHARE, num_drivers), -(-rows // num_drivers))
    most = min(most, max(least, -(-(left + rows_after) // (2 * num_drivers))))
    return -(-left // -(-left // most))


class ColumnSelection:
    """The columns that a scan gives, taken out of batches that may have others beside them.

    Not `narrow`, it leaves the others in place, for an operator that asks for columns by name.
    Dictionaries and views are decoded. A schema is checked once, when it is first seen: batches of
    a stream share theirs.
    """

    def __init__(self, schema: pa.Schema, narrow: bool) -> None:
        self._schema = schema
        self._narrow = narrow
        self._accepted = schema
        self._is_made_anew = False

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The wanted columns of a batch; raises InvalidDataError if one is not as planned."""
        schema = batch.schema
        if schema is not self._accepted and schema != self._accepted:
            self._accept(schema)
        self._accepted = schema
        if not self._is_made_anew:
            return batch
        columns = [decoded_values(batch.column(name)) for name in self._schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _accept(self, schema: pa.Schema) -> None:
        is_encoded = False
        for field in self._schema:
            count = schema.names.count(field.name)
            if count == 0:
                raise InvalidDataError(f"a batch lacks column {field.name}: it has {schema.names}")
            if count > 1:
                raise InvalidDataError(
                    f"a batch has {count} columns {field.name}: rename or drop all but one"
                )
            encoded = schema.field(field.name).type
            data_type = decoded_type(encoded)
            is_encoded |= data_type != encoded
            if data_type != field.type:
                raise InvalidDataError(
                    f"column {field.name} of a batch is {data_type}; the plan was made for "
                    f"{field.type}"
                )
        # others beside them, another order, or columns that are said to have no nulls
        self._is_made_anew = is_encoded or (self._narrow and schema != self._schema)


class SharedSource:
    """Morsels of a stream of batches, each given to one of `num_drivers` and numbered in order.

    None has more than `most_rows`.

    Each batch is looked at when it comes: InvalidDataError where it is none, lacks a column, or
    its buffers are shorter than its rows need.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], columns: ColumnSelection) -> None:
        self.num_drivers = 1
        self.most_rows = MORSEL_ROWS
        self._batches = batches
        self._columns = columns
        self._lock = threading.Lock()
        self._batch: pa.RecordBatch | None = None
        self._start = 0
        self._num_fetched = 0
        self._next_sequence = 0
        self._exhausted = False
        self._closed = False

    def next_morsel(self) -> tuple[int, pa.RecordBatch, bool] | None:
        """Its number, its rows and whether it is known to be the last; None at the end.

        Empty batches are left out.
        """
        if not acquire_unless(self._lock, self.is_closed):
            return None
        try:
            batch = self._present()
            if batch is None:
                return None
            rows = batch.num_rows
            rows_after = rows * self._batches_after() if self.num_drivers > 1 else 0
            step = morsel_rows(
                rows - self._start, rows, rows_after, self.num_drivers, self.most_rows
            )
            start, self._start = self._start, self._start + step
            is_last = False
            if self._start >= rows:
                self._batch = None
                is_last = self._ends_here()
            sequence = self._next_sequence
            self._next_sequence += 1
        finally:
            self._lock.release()
        return sequence, batch if step >= rows else batch.slice(start, step), is_last

    def _present(self) -> pa.RecordBatch | None:
        """The batch that morsels are cut from; None at the end."""
        while (batch := self._batch) is None and not self._exhausted:
            fetched = next(self._batches, _END)
            if fetched is _END or self._closed:
                self._exhausted = True
            elif checked_rows(fetched):
                self._batch, self._start = self._columns.apply(fetched), 0
                self._num_fetched += 1
        return None if self._closed else batch

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

    def is_closed(self) -> bool:
        """Whether nobody wants any more of it."""
        return self._closed

    def close(self) -> None:
        """Ends the stream early: no driver is given any more of it."""
        self._closed = self._exhausted = True


def checked_rows(fetched: Any) -> int:
    """Rows of what a stream gave; raises InvalidDataError unless it is a sound batch."""
    if not isinstance(fetched, pa.RecordBatch):
        raise InvalidDataError(
            f"a source of batches gave {type(fetched).__name__}: it must give pyarrow RecordBatches"
        )
    try:
        fetched.validate()
    except pa.ArrowException as error:
        raise InvalidDataError(f"a batch is damaged: {first_line(error)}") from None
    rows: int = fetched.num_rows
    return rows
