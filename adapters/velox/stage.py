"""A stage: one Velox task whose input vectors are views of buffers that live as long as it does.

All arithmetic happens inside Velox. Between two stages the output columns are copied, unchanged,
into the buffers that the next stage's vectors view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from adapters.velox.feature_map import Copy
from adapters.velox.task import VeloxTask
from adapters.velox.vectors import columns_of

MAX_ROWS = 20480
"""Rows of a batch: more amortise Velox's cost of a call (1.4 us), fewer stay in the L2 cache."""


@dataclass(frozen=True)
class Batch:
    """One input vector, the [grid rows, grid columns, images] it stands for, and its results.

    `copies[i]` says where output column i goes.
    """

    vector: Any
    shape: tuple[int, int, int]
    copies: Sequence[Sequence[Copy]]


class Stage:
    """Values, then one ProjectNode for each list of expressions."""

    def __init__(
        self, name: str, batches: Sequence[Batch], projections: Sequence[Sequence[str]]
    ) -> None:
        self.name, self._batches = name, batches
        self._projections = projections
        self._plans: list[tuple[Sequence[Batch], Any]] = []

    def prepare(self, threads: int) -> None:
        """Makes the plans: one for each thread, with every `threads`-th batch.

        ValuesNode is not parallel, whatever max_drivers is, so that threads need tasks.
        """
        from pyvelox import plan_builder

        for first in range(min(threads, len(self._batches))):
            batches = self._batches[first::threads]
            builder = plan_builder.PlanBuilder().values([batch.vector for batch in batches])
            for expressions in self._projections:
                builder.project(list(expressions))
            self._plans.append((batches, builder.get_plan_node()))

    def run(self) -> list[VeloxTask]:
        """Computes every batch and stores the results; returns the tasks for their statistics."""
        tasks = [VeloxTask(plan) for _, plan in self._plans]
        running = [
            self._store(batches, task)
            for (batches, _), task in zip(self._plans, tasks, strict=True)
        ]
        # Every task has a driver thread of its own, at work while the others are waited for.
        while running:
            running = [progress for progress in running if next(progress, None) is not None]
        return tasks

    @staticmethod
    def _store(batches: Sequence[Batch], task: VeloxTask) -> Iterator[Batch]:
        """Stores the results of one batch after the other."""
        for batch, vector in zip(batches, task.batches(), strict=True):
            for column, targets in zip(columns_of(vector), batch.copies, strict=True):
                source = column.reshape(batch.shape)
                for copy in targets:
                    copy.target[...] = source[copy.source]
            yield batch


def row_ranges(num_rows: int, row_size: int) -> list[range]:
    """Grid rows of `row_size` vector rows each, cut into near-equal parts of MAX_ROWS at most."""
    parts = min(num_rows, -(-num_rows * row_size // MAX_ROWS))
    bounds = [num_rows * part // parts for part in range(parts + 1)]
    return [range(low, high) for low, high in pairwise(bounds)]
