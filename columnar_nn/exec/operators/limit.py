"""Limit: the first rows, after an offset; everything upstream is stopped once they are there."""

from __future__ import annotations

import pyarrow as pa

from columnar_nn.exec.operators.base import DriverContext, Operator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.plan.order import LimitNode


@runs(LimitNode)
class Limit(Operator):
    """Slices of the batches that come, without a copy."""

    operator_type = "Limit"

    def __init__(self, node: LimitNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._to_skip = node.offset
        self._to_give = node.count
        self._output: pa.RecordBatch | None = None

    def needs_input(self) -> bool:
        """While rows are wanted and none is waiting."""
        return self._output is None and self._to_give > 0 and not self._no_more_input

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Skips or keeps rows."""
        skipped = min(self._to_skip, batch.num_rows)
        self._to_skip -= skipped
        kept = min(self._to_give, batch.num_rows - skipped)
        self._to_give -= kept
        if kept:
            self._output = batch.slice(skipped, kept)

    def get_output(self) -> pa.RecordBatch | None:
        """The rows kept of the last batch."""
        output, self._output = self._output, None
        return output

    def is_finished(self) -> bool:
        """Once all rows have been given, or there are no more."""
        return self._output is None and (self._to_give == 0 or self._no_more_input)
