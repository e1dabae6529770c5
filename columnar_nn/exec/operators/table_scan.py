"""TableScan and Values: the morsels of a stream, each given to one driver."""

from __future__ import annotations

import pyarrow as pa

from columnar_nn.exec.operators.base import DriverContext, SourceOperator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.plan.nodes import TableScanNode, ValuesNode
from columnar_nn.plan.plan_node import ScanNode


@runs(TableScanNode, ValuesNode)
class Scan(SourceOperator):
    """One driver's end of the stream that all drivers of its pipeline read."""

    def __init__(self, node: ScanNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self.operator_type = node.name
        self._stream = context.streams[node.id]
        self._finished = False

    def get_output(self) -> pa.RecordBatch | None:
        """The next morsel, None at the end."""
        self.is_fetching = True
        morsel = self._stream.next_morsel()
        self.is_fetching = False
        if morsel is None:
            self._finished = True
            return None
        sequence, batch, self._finished = morsel
        self.begin(sequence)
        return batch

    def is_finished(self) -> bool:
        """Once the stream has been found empty, or is known to be."""
        return self._finished
