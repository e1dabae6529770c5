"""FilterProject: a filter or a projection of each batch, as Velox's operator of that name."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import pyarrow as pa

from columnar_nn.exec.operators.base import Operator
from columnar_nn.exec.projection import Projection
from columnar_nn.kernels import Team


class BatchByBatch(Operator):
    """An operator whose output depends on one batch of input at a time."""

    operator_type = "FilterProject"

    def __init__(self, plan_node_id: str) -> None:
        super().__init__(plan_node_id)
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


class Project(BatchByBatch):
    """Expressions of each batch.

    `step_nanoseconds` collects kernel times when profiling; a `team` shares the kernels' work.
    """

    def __init__(
        self,
        plan_node_id: str,
        projection: Projection,
        step_nanoseconds: np.ndarray | None,
        team: Team | None = None,
    ) -> None:
        super().__init__(plan_node_id)
        self._projection = projection
        self._team = team
        self.step_nanoseconds = step_nanoseconds
        self.num_rows = 0

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The projected batch."""
        output = self._projection.evaluate(batch, self.step_nanoseconds, self._team)
        rows = batch.num_rows
        self.num_rows += rows
        self.memory_bytes = max(self.memory_bytes, self._projection.memory_bytes(rows))
        return output


class Filter(BatchByBatch):
    """Rows of each batch for which the condition is true; a `team` shares its kernels' work."""

    def __init__(self, plan_node_id: str, condition: Projection, team: Team | None = None) -> None:
        super().__init__(plan_node_id)
        self._condition = condition
        self._team = team

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        """The rows that pass; None if none does."""
        keep = self._condition.evaluate(batch, team=self._team).column(0)
        passed = keep.true_count
        if passed == batch.num_rows:
            return batch
        output = batch.filter(keep)
        self.memory_bytes = output.nbytes
        return output if passed else None
