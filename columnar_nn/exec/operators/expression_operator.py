"""What operators share that compute expressions, a network's kernels among them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from columnar_nn.exec.operators.base import DriverContext, Operator
from columnar_nn.plan.plan_node import PlanNode


class ExpressionOperator(Operator):
    """An operator that computes the columns which its class says are `computed`."""

    def __init__(self, node: PlanNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._projection = context.projections[node.id]
        self._team = context.team
        self.kernel_bytes = 0
        """Most that kernels have held for a batch: intermediate values and results."""
        if context.profile:
            self.step_nanoseconds = np.zeros(len(self._projection.steps), np.int64)

    def evaluate(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The computed columns of a batch; its rows, and the kernels' time, are added up."""
        columns = self._projection.evaluate(batch, self.step_nanoseconds, self._team)
        rows = batch.num_rows
        self.evaluated_rows += rows
        self.kernel_bytes = max(self.kernel_bytes, self._projection.memory_bytes(rows))
        return columns
