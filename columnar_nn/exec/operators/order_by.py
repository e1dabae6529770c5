"""OrderBy: all rows, sorted by columns, equal ones in input order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.exec.operators.base import DriverContext, Operator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.functions import floats
from columnar_nn.plan.order import OrderByNode, TopNNode


@runs(OrderByNode)
class OrderBy(Operator):
    """Collects everything, then sorts it once."""

    operator_type = "OrderBy"

    def __init__(self, node: OrderByNode | TopNNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._keys = node.keys
        self._batches: list[pa.RecordBatch] = []
        self._finished = False

    def needs_input(self) -> bool:
        """Until there is no more."""
        return not self._no_more_input

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Keeps the batch."""
        self._batches.append(batch)
        self.memory_bytes += batch.nbytes

    def get_output(self) -> pa.RecordBatch | None:
        """All rows in one batch, once no more input comes."""
        if not self._no_more_input or self._finished:
            return None
        self._finished = True
        if not self._batches:
            return None
        rows = pa.concat_batches(self._batches) if len(self._batches) > 1 else self._batches[0]
        self._batches.clear()
        return rows.take(pa.array(self._order(rows)))

    def _order(self, rows: pa.RecordBatch) -> np.ndarray:
        """Row numbers in order: stable sorts by each key, the least significant first."""
        order = np.arange(rows.num_rows)
        for key in reversed(self._keys):
            if pa.types.is_null(rows.column(key.column).type):
                continue
            keys = floats.to_ordered(floats.one_pattern(rows.column(key.column)))
            values = keys.take(pa.array(order))
            # A dense rank sorts anything, and descending order by it keeps equal rows in order.
            rank = (
                pc.rank(values, sort_keys="ascending", tiebreaker="dense")
                .to_numpy()
                .astype(np.int64)
            )
            if not key.ascending:
                rank = -rank
            null = values.is_null().to_numpy(False)
            rank[null] = rank.min(initial=0) - 1 if key.nulls_first else rank.max(initial=0) + 1
            order = order[np.argsort(rank, kind="stable")]
        return order

    def is_finished(self) -> bool:
        """Once the sorted rows have been given out."""
        return self._finished
