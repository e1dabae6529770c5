"""What is made of a plan once, whatever the data: kernels compiled, pipelines cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.exec import pipelines
from columnar_nn.exec.morsels import (
    MORSEL_ROWS,
    SCALAR_MORSEL_ROWS,
    ColumnSelection,
    SharedSource,
)
from columnar_nn.exec.operators.base import Operator
from columnar_nn.exec.operators.registry import operator_class
from columnar_nn.exec.pipelines import Pipeline
from columnar_nn.exec.projection import Projection
from columnar_nn.expressions.types import is_scalar
from columnar_nn.plan.plan_node import PlanNode, nodes, transform_up
from columnar_nn.record import Record

if TYPE_CHECKING:
    from columnar_nn.exec.step_stats import StepStats
    from columnar_nn.kernels import Team


class ByBatch(Record):
    """What a scan takes of a batch, what is computed of that, of at most so many rows at once."""

    columns: ColumnSelection
    projections: tuple[Projection, ...]
    most_rows: int

    def evaluate(
        self, batch: pa.RecordBatch, step_nanoseconds: np.ndarray | None, team: Team | None
    ) -> pa.RecordBatch:
        """The projections of a batch that has the columns; see Projection.evaluate."""
        left = step_nanoseconds
        for projection in self.projections:
            batch = projection.evaluate(batch, left, team)
            if left is not None:
                left = left[len(projection.steps) :]
        return batch


class CompiledPlan:
    """A plan as it will run, its kernels bound and loaded. Safe to use from several threads.

    `projections` holds, by plan node id, what nodes compute of each batch, sources first.
    """

    def __init__(self, plan: PlanNode, keep_denormals: bool) -> None:
        self.plan = plan
        self.projections: dict[str, Projection] = {}
        for node in reversed(list(nodes(plan))):
            columns = operator_class(node).computed(node)
            if columns:
                names, expressions = zip(*columns, strict=True)
                projection = Projection(names, expressions, keep_denormals)
                projection.prepare()
                self.projections[node.id] = projection
        self.pipelines = pipelines.cut(plan)
        by_name = {
            source.id for node in nodes(plan) if node.reads_by_name for source in node.sources
        }
        self._scans = [
            (scan, ColumnSelection(scan.output_type, narrow=scan.id not in by_name))
            for scan in plan.scans
        ]
        self._scan_ids = [scan.id for scan in plan.scans]

    @cached_property
    def serial_pipelines(self) -> tuple[Pipeline, ...]:
        """Those of the plan where a single driver runs each: several only for several sources."""
        return pipelines.cut(transform_up(self.plan, lambda node: node.serial))

    @cached_property
    def by_batch(self) -> ByBatch | None:
        """What is done to each batch by itself; None if the plan does anything else."""
        pipeline, *others = self.serial_pipelines
        scan, *computing = pipeline.nodes
        if others or not all(operator_class(node).only_computes for node in computing):
            return None
        (columns,) = (columns for node, columns in self._scans if node is scan)
        projections = tuple(self.projections[node.id] for node in computing)
        return ByBatch(columns, projections, self.morsel_rows(pipeline))

    @property
    def steps(self) -> tuple[StepStats, ...]:
        """The work a row of every kernel step of every node, without times."""
        return tuple(
            replace(step, plan_node_id=node_id)
            for node_id, projection in self.projections.items()
            for step in projection.steps
        )

    def streams(self, batches: Mapping[str, Iterable[pa.RecordBatch]]) -> dict[str, SharedSource]:
        """What a task's scans hand out, by plan node id: their own, or what `batches` has instead.

        Raises UsageError for an id that no scan has, InvalidDataError for what is no stream.
        """
        for node_id, given in batches.items():
            if node_id not in self._scan_ids:
                known = ", ".join(map(repr, self._scan_ids))
                raise UsageError(f"no scan has plan node id {node_id!r}: the plan's has {known}")
            if not isinstance(given, Iterable):
                raise InvalidDataError(
                    f"{type(given).__name__} is no stream of batches: give a list of RecordBatches"
                )
        return {
            scan.id: SharedSource(
                iter(batches[scan.id]) if scan.id in batches else scan.read(), columns
            )
            for scan, columns in self._scans
        }

    def morsel_rows(self, pipeline: Pipeline) -> int:
        """Most rows of a morsel of a pipeline that begins with a scan."""
        for node in pipeline.nodes:
            projection = self.projections.get(node.id)
            if projection is not None and projection.programs:
                return MORSEL_ROWS
            if not all(map(is_scalar, node.output_type.types)):
                return MORSEL_ROWS
        return SCALAR_MORSEL_ROWS

    def step_stats(self, operators: Sequence[Operator]) -> tuple[StepStats, ...]:
        """What the kernels did in all of the `operators`, by plan node id."""
        result = []
        for node_id, projection in self.projections.items():
            mine = [operator for operator in operators if operator.plan_node_id == node_id]
            rows = sum(operator.evaluated_rows for operator in mine)
            times = [o.step_nanoseconds for o in mine if o.step_nanoseconds is not None]
            for index, step in enumerate(projection.steps):
                nanoseconds = sum(int(taken[index]) for taken in times)
                result.append(
                    replace(step, plan_node_id=node_id, nanoseconds=nanoseconds, rows=rows)
                )
        return tuple(result)
