"""What a network's tasks spend in their Python workers, sent back beside the rows.

Runs on executors. CPU time of the worker's thread: on a machine that others use, wall time says
nothing, and a worker waits for Spark most of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Observation

    from columnar_nn.integrations.spark import Call

COST = "cnn_bench_cost"
"""The column of costs: of each batch one row has them, the first."""

PARTS = ("read", "prepare", "input", "compute", "output", "write")
"""Rows from Spark; packages and the network; images as tensors; its kernels; tensors as columns;
rows back to Spark.

What is written after the last batch of a task is lost: some hundred bytes.
"""

TASKS = "tasks"
"""Beside the parts: 1 in a task's first batch."""

COST_TYPE = pa.struct([(name, pa.float64()) for name in (*PARTS, TASKS)])


class Clock:
    """CPU seconds of this thread by part, since they were last taken."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def phase(self, part: str) -> Iterator[None]:
        """Counts what its block takes."""
        start = time.thread_time()
        try:
            yield
        finally:
            self._seconds[part] += time.thread_time() - start

    def timed(self, batches: Iterable[pa.RecordBatch], part: str) -> Iterator[pa.RecordBatch]:
        """The same batches; counts what it takes to have each."""
        stream = iter(batches)
        while True:
            with self.phase(part):
                batch = next(stream, None)
            if batch is None:
                return
            yield batch

    def take(self) -> dict[str, float]:
        """What was counted since the last time."""
        taken, self._seconds = self._seconds, dict.fromkeys(PARTS, 0.0)
        return taken


def measured(
    batches: Iterable[pa.RecordBatch], task: Callable[..., Iterator[pa.RecordBatch]]
) -> Iterator[pa.RecordBatch]:
    """What `task` (see `integrations.spark.Call`) makes of the batches, and the column COST."""
    clock = Clock()
    with clock.phase("prepare"):
        pa.array([0])  # pyarrow imports pandas, once a process, for 0.25 s
    tasks = 1.0
    for batch in task(clock.timed(batches, "read"), phase=clock.phase):
        cost = [{**clock.take(), TASKS: tasks}, *[None] * (batch.num_rows - 1)]
        tasks = 0.0
        column = pa.array(cost, COST_TYPE)
        with clock.phase("write"):
            yield batch.append_column(COST, column)


def with_costs(made: Call) -> tuple[DataFrame, Observation]:
    """A network's rows, and what observes their costs when they are asked for.

    Once they have been, its `get` has the sum of each of PARTS and the number of TASKS that had
    rows.
    """
    from pyspark.sql import Observation, functions
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    cost = from_arrow_schema(pa.schema([(COST, COST_TYPE)]))
    task = partial(measured, task=made.task)
    frame = made.source.mapInArrow(task, StructType([*made.schema, *cost]))
    observation = Observation()
    sums = [functions.sum(f"{COST}.{name}").alias(name) for name in (*PARTS, TASKS)]
    return frame.observe(observation, *sums).drop(COST), observation
