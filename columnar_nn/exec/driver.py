"""A driver: the loop that runs one pipeline of operators on one thread (velox/exec/Driver.cpp).

The only caller and the only timer of operators.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, cast

import pyarrow as pa

from columnar_nn.exec.operators.base import Operator, SinkOperator, SourceOperator
from columnar_nn.exec.stats import CpuWallTiming, OperatorStats
from columnar_nn.exec.trace import Trace


class Progress(Enum):
    """Why `Driver.run_once` returned."""

    MOVED = "moved a batch, or told an operator that there is no more"
    OUTPUT = "the last operator gave a batch: see Driver.output"
    BLOCKED = "an operator waits for another driver: see Driver.blocked"
    FINISHED = "the last operator is finished"


class Driver:
    """Operators of one pipeline, the first a source, and what they did.

    `source` is the first; `sink` the last, if that feeds another pipeline.
    `output` is the batch that the last operator gave when `run_once` returned OUTPUT, `blocked`
    the operator that waits when it returned BLOCKED.
    """

    def __init__(
        self,
        pipeline_id: int,
        operators: Sequence[Operator],
        row_bytes: Sequence[int],
        track_cpu: bool = False,
        trace: Trace | None = None,
    ) -> None:
        """`row_bytes` holds for each operator the size of a row of its output, 0 if it varies.

        CPU time is 0 unless it is tracked, as in Velox (operator_track_cpu_usage): to ask for it is
        a system call.
        """
        self.source = cast(SourceOperator, operators[0])
        self.sink = cast(SinkOperator, operators[-1])
        self._operators = tuple(operators)
        self._row_bytes = row_bytes
        self._track_cpu = track_cpu
        self._told = [False] * len(operators)
        self._trace = trace
        self._blocked_since = 0
        self.output: pa.RecordBatch | None = None
        self.blocked: Operator | None = None
        self.stats = tuple(
            OperatorStats(o.plan_node_id, o.operator_type, pipeline_id, index)
            for index, o in enumerate(operators)
        )

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators, the source first."""
        return self._operators

    def run_once(self) -> Progress:
        """Moves a batch from the source as far as it goes, or an earlier one out of the pipeline.

        Goes from the last operator back to the first that has something to give, then forward
        again with what it gave.
        """
        last = len(self._operators) - 1
        index, moved = last, False
        while True:
            operator = self._operators[index]
            if operator.is_blocked():
                return self._block(operator)
            if self.blocked is operator:
                self._unblock(index)
            following = self._operators[index + 1] if index < last else None
            wanted = following is None or following.needs_input()
            if index == 0 and (moved or not wanted or self.source.drained()):
                return Progress.MOVED
            if wanted and operator.is_finished():
                if following is None:
                    return Progress.FINISHED
                self._tell_end(index + 1)
                index, moved = index + 1, True
                continue
            if wanted and not operator.needs_input():  # else, by contract, it holds nothing
                batch = self._call(index, "get_output", operator.get_output)
                if batch is not None:
                    self._count(index, batch)
                    if following is None:
                        self.output = batch
                        return Progress.OUTPUT
                    self._call(index + 1, "add_input", following.add_input, batch)
                    index, moved = index + 1, True
                    continue
                if operator.is_finished():
                    continue
            index -= 1

    def _count(self, index: int, batch: pa.RecordBatch) -> None:
        """Counts what an operator gave, and the next one is given."""
        rows, row_bytes = batch.num_rows, self._row_bytes[index]
        num_bytes = row_bytes * rows if row_bytes else batch.nbytes
        self.stats[index].count_output(rows, num_bytes)
        if index + 1 < len(self.stats):
            self.stats[index + 1].count_input(rows, num_bytes)

    def _tell_end(self, index: int) -> None:
        """Tells an operator, once, that there will be no more input."""
        if not self._told[index]:
            self._told[index] = True
            self._call(index, "finish", self._operators[index].no_more_input)

    def _block(self, operator: Operator) -> Progress:
        if self.blocked is None:
            self.blocked, self._blocked_since = operator, time.perf_counter_ns()
        return Progress.BLOCKED

    def _unblock(self, index: int) -> None:
        self.blocked = None
        self.stats[index].blocked_nanos += time.perf_counter_ns() - self._blocked_since

    def _call(self, index: int, method: str, function: Callable[..., Any], *arguments: Any) -> Any:
        wall = time.perf_counter_ns()
        cpu = time.thread_time_ns() if self._track_cpu else 0
        result = function(*arguments)
        if self._track_cpu:
            cpu = time.thread_time_ns() - cpu
        end = time.perf_counter_ns()
        stats, operator = self.stats[index], self._operators[index]
        timing: CpuWallTiming = getattr(stats, method)
        timing.count += 1
        timing.wall_nanos += end - wall
        timing.cpu_nanos += cpu
        stats.peak_memory_bytes = max(stats.peak_memory_bytes, operator.memory_bytes)
        if self._trace is not None:
            self._trace.operator_call(operator, method, wall, end, result)
        return result

    def close(self) -> None:
        """Closes every operator, the source last."""
        for operator in reversed(self._operators):
            operator.close()
