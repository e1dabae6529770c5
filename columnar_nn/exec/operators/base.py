"""The contract of operators, as Velox's (velox/exec/Operator.h): pull-based, one driver each.

A driver moves batches from one operator to the next. It calls `get_output` of an operator only
when the next one needs input, and does all of the timing and counting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import pyarrow as pa

WAIT_SECONDS = 1.0
"""How long one driver waits for another at a time: where a system does not let a signal end a wait,
it is answered between two.
"""


class Operator(ABC):
    """One step of a pipeline, owned by one driver and called from its thread only."""

    operator_type: str
    """Velox's name, e.g. "FilterProject"."""

    def __init__(self, plan_node_id: str) -> None:
        self.plan_node_id = plan_node_id
        self.memory_bytes = 0
        """Held now: buffered input, state and scratch memory."""
        self._no_more_input = False

    def is_blocked(self) -> bool:
        """Whether the operator cannot go on until another driver has done something.

        A blocked operator is neither given input nor asked for output.
        """
        return False

    def wait(self) -> None:  # noqa: B027 - most operators are never blocked
        """Returns once the operator may have stopped being blocked."""

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
        """Called once when the driver ends, after an error too."""


class SourceOperator(Operator):
    """The first operator of a pipeline: it has no input.

    `sequence` numbers the last batch given out, over all drivers of the pipeline, in the order
    of the source; -1 before the first.
    """

    is_fetching = False
    """Whether it waits for something outside of the task, which may take for ever."""

    def __init__(self, plan_node_id: str, on_drained: Callable[[int], None] | None) -> None:
        """`on_drained` is told each number, when everything made of its batch has left."""
        super().__init__(plan_node_id)
        self.sequence = -1
        self._on_drained = on_drained
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
