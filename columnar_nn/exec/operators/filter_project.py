"""FilterProject: a filter or a projection of each batch, as Velox's operator of that name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import pyarrow as pa

from columnar_nn.exec.operators.base import DriverContext
from columnar_nn.exec.operators.expression_operator import ExpressionOperator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.expressions.expression import Expression
from columnar_nn.plan.nodes import FilterNode, ProjectNode
from columnar_nn.plan.plan_node import PlanNode


class BatchByBatch(ExpressionOperator):
    """An operator whose output depends on one batch of input at a time."""

    operator_type = "FilterProject"

    def __init__(self, node: PlanNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._batch: pa.RecordBatch | None = None

    @abstractmethod
    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        """What becomes of a batch; None if no row is left."""

    def needs_input(self) -> bool:
        """While no batch is waiting."""
        return self._batch is None and not self._no_more_input

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Keeps the batch for get_output."""
        self._batch = batch

    def get_output(self) -> pa.RecordBatch | None:
        """What became of the batch that was waiting."""
        if self._batch is None:
            return None
        batch, self._batch = self._batch, None
        return self.apply(batch)

    def is_finished(self) -> bool:
        """Once the last batch has been given out."""
        return self._no_more_input and self._batch is None


@runs(ProjectNode)
class Project(BatchByBatch):
    """Expressions of each batch."""

    only_computes = True

    @staticmethod
    def computed(node: ProjectNode) -> Sequence[tuple[str, Expression]]:
        """The projections."""
        return list(zip(node.names, node.projections, strict=True))

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The projected batch."""
        output = self.evaluate(batch)
        self.memory_bytes = self.kernel_bytes
        return output


@runs(FilterNode)
class Filter(BatchByBatch):
    """Rows of each batch for which the condition is true."""

    @staticmethod
    def computed(node: FilterNode) -> Sequence[tuple[str, Expression]]:
        """The condition."""
        return [("keep", node.filter)]

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        """The rows that pass; None if none does."""
        keep = self.evaluate(batch).column(0)
        self.memory_bytes = self.kernel_bytes
        passed = keep.true_count
        if passed == batch.num_rows:
            return batch
        output = batch.filter(keep)
        self.memory_bytes += output.nbytes
        return output if passed else None
