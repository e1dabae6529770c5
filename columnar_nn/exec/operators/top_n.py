"""TopN: the first rows in an order, kept while the others go by."""

from __future__ import annotations

import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.exec.operators.base import DriverContext
from columnar_nn.exec.operators.order_by import OrderBy
from columnar_nn.exec.operators.registry import runs
from columnar_nn.functions import floats
from columnar_nn.plan.order import SortingKey, TopNNode

REDUCE_ROWS = 1024
"""Rows that are kept at least before they are sorted: sorting costs more than it drops before."""


@runs(TopNNode)
class TopN(OrderBy):
    """Sorts what it has kept whenever there is much of it, and drops all but the first `count`.

    Of the rows to come it keeps those whose first key is not behind the last row's. With `partial`
    these are its output, at once and in their order: what gathers several drivers' rows orders them
    by their place in the scan, so that which of equal rows are among the first does not depend on
    the number of drivers. Then it keeps the keys alone.
    """

    operator_type = "TopN"

    def __init__(self, node: TopNNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._count = node.count
        self._partial = node.partial
        self._key_names = list(dict.fromkeys(key.column for key in node.keys))
        self._num_rows = 0
        self._last: pa.Scalar | None = None
        self._passed: pa.RecordBatch | None = None

    def needs_input(self) -> bool:
        """While nothing waits to be given out, and there is more."""
        return self._passed is None and super().needs_input()

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Keeps the rows that may be among the first."""
        if self._last is not None:
            key = self._keys[0]
            batch = batch.filter(_not_behind(batch.column(key.column), self._last, key))
        if not batch.num_rows:
            return
        if self._partial:
            self._passed = batch
            batch = batch.select(self._key_names)
        self._num_rows += batch.num_rows
        super().add_input(batch)
        if self._num_rows >= max(2 * self._count, REDUCE_ROWS):
            self._reduce()

    def get_output(self) -> pa.RecordBatch | None:
        """The first rows, once no more input comes; with `partial` what may be among them."""
        if self._partial:
            output, self._passed = self._passed, None
            return output
        rows = super().get_output()
        return None if rows is None else rows.slice(0, self._count)

    def is_finished(self) -> bool:
        """Once the rows have been given out."""
        if self._partial:
            return self._no_more_input and self._passed is None
        return super().is_finished()

    def _reduce(self) -> None:
        rows = pa.concat_batches(self._batches)
        first = rows.take(pa.array(self._order(rows)[: self._count]))
        self._last = first.column(self._keys[0].column)[first.num_rows - 1]
        self._batches[:] = [first]
        self._num_rows, self.memory_bytes = first.num_rows, first.nbytes


def _not_behind(values: pa.Array, last: pa.Scalar, key: SortingKey) -> pa.Array:
    """Whether a value is the last one or before it; NaN is the largest number."""
    if not last.is_valid:
        return values.is_null() if key.nulls_first else pc.true_unless_null(values.is_null())
    if pa.types.is_boolean(values.type):
        values, last = values.cast(pa.uint8()), last.cast(pa.uint8())
    first, second = (values, last) if key.ascending else (last, values)
    return floats.less_equal(first, second).fill_null(key.nulls_first)
