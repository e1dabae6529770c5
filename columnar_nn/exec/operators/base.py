"""The contract of operators, as Velox's (velox/exec/Operator.h): pull-based, one driver each.

A driver moves batches from one operator to the next. It calls `get_output` of an operator only
when the next one needs input, and does all of the timing and counting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from threading import Condition
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from columnar_nn.exec.morsels import SharedSource
from columnar_nn.exec.projection import Projection
from columnar_nn.expressions.expression import Expression
from columnar_nn.plan.plan_node import PlanNode
from columnar_nn.record import Record

if TYPE_CHECKING:
    from columnar_nn.kernels import Team


class Bridge(ABC):
    """What the last operators of pipelines share with the operator of another that they feed.

    It notifies the `changed` that it is made with whenever an operator may have stopped being
    blocked: all of a task's bridges have the same one, so that a thread can wait for any.
    """

    def done(self, position: int, sequence: int) -> None:  # noqa: B027 - not all go by it
        """Nothing more will be made of morsel `sequence` of the pipeline that feeds `position`."""

    @abstractmethod
    def close(self) -> None:
        """Frees all who wait: nobody wants any more, and its `SinkOperator`s are finished."""


class DriverContext(Record):
    """What the operators of a driver are made with (velox/exec/Driver.h, DriverCtx).

    `projections`, `streams` and `bridges` go by plan node id: compiled expressions, what scans hand
    out, and what nodes are fed through by other pipelines. A `team` shares the work of kernels. The
    pipeline feeds source `position` of its consumer; `on_drained` is told each morsel's number once
    everything made of it has left.
    """

    projections: Mapping[str, Projection]
    streams: Mapping[str, SharedSource]
    bridges: Mapping[str, Bridge]
    profile: bool
    team: Team | None
    position: int
    on_drained: Callable[[int], None] | None


class Operator(ABC):
    """One step of a pipeline, owned by one driver and called from its thread only."""

    operator_type: str
    """Velox's name, e.g. "FilterProject"."""

    starts_pipeline: ClassVar[bool] = False
    """Whether it has no input: what its node reads is other pipelines' to run."""

    only_computes: ClassVar[bool] = False
    """Whether its output for a batch is what it `computed` of it, and nothing else."""

    evaluated_rows = 0
    """Rows whose expressions it has computed."""

    step_nanoseconds: np.ndarray | None = None
    """Time in each kernel step of its expressions; None where there are none or it is not taken."""

    def __init__(self, node: PlanNode, context: DriverContext) -> None:
        self.plan_node_id = node.id
        self.memory_bytes = 0
        """Held now: buffered input, state and scratch memory."""
        self._no_more_input = False

    @staticmethod
    def computed(node: Any) -> Sequence[tuple[str, Expression]]:
        """Columns that it computes of each batch, compiled once for all operators of the node."""
        return ()

    def is_blocked(self) -> bool:
        """Whether the operator cannot go on until another driver has done something.

        A blocked operator is neither given input nor asked for output.
        """
        return False

    @abstractmethod
    def needs_input(self) -> bool:
        """Whether `add_input` may be called now: there is no output to fetch without it."""

    @abstractmethod
    def add_input(self, batch: pa.RecordBatch) -> None:
        """Takes a batch of at least one row; called only when `needs_input` is True."""

    def no_more_input(self) -> None:
        """Told once that `add_input` will not be called again; output may still follow."""
        self._no_more_input = True

    @abstractmethod
    def get_output(self) -> pa.RecordBatch | None:
        """The next batch of output, of at least one row.

        None means that no output can be produced without more input: the operator is finished,
        blocked, or waiting for `add_input` or `no_more_input`.
        """

    @abstractmethod
    def is_finished(self) -> bool:
        """Whether no more output will ever come; may be True before `no_more_input`, and then
        everything upstream is stopped."""

    def close(self) -> None:  # noqa: B027 - most operators hold nothing to release
        """Called when the driver ends, after an error too; perhaps once more at the task's end."""


class SourceOperator(Operator):
    """The first operator of a pipeline: it has no input.

    `sequence` numbers the last batch given out, over all drivers of the pipeline, in the order
    of the source; -1 before the first.
    """

    starts_pipeline = True

    is_fetching = False
    """Whether it waits for something outside of the task, which may take for ever."""

    def __init__(self, node: PlanNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self.sequence = -1
        self._on_drained = context.on_drained
        self._is_drained = True

    def begin(self, sequence: int) -> None:
        """Notes the number of the batch that is given out now."""
        self.sequence = sequence
        self._is_drained = False

    def needs_input(self) -> bool:
        """Never."""
        return False

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Never called."""
        raise AssertionError(f"{self.operator_type} has no input")

    def drained(self) -> bool:
        """Told that everything made of the last batch has left the pipeline; reports it, once.

        Returns whether that was news to anybody.
        """
        if self._is_drained or self._on_drained is None:
            return False
        self._is_drained = True
        self._on_drained(self.sequence)
        return True

    def close(self) -> None:
        """Reports the last batch as done."""
        self.drained()


class SinkOperator(Operator):
    """The last operator of a pipeline that feeds a node of another, through a bridge."""

    def __init__(self, node: PlanNode, context: DriverContext, source: SourceOperator) -> None:
        """`node` is the one that is fed, `source` the first operator of the same driver."""
        super().__init__(node, context)

    @staticmethod
    @abstractmethod
    def make_bridge(num_drivers: Sequence[int], changed: Condition) -> Bridge:
        """A task's bridge of a node, fed by pipelines of so many drivers, in their order."""

    def get_output(self) -> pa.RecordBatch | None:
        """None: the output is the other pipeline's."""
        return None
