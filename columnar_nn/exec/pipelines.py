"""A plan cut into pipelines, and what its nodes become there (velox/exec/LocalPlanner.cpp)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.exec.operators import aggregation
from columnar_nn.exec.operators.aggregation import HashAggregation
from columnar_nn.exec.operators.base import Operator
from columnar_nn.exec.operators.filter_project import Filter, Project
from columnar_nn.exec.operators.limit import Limit
from columnar_nn.exec.operators.order_by import OrderBy
from columnar_nn.exec.projection import Projection
from columnar_nn.exec.stats import StepStats
from columnar_nn.expressions.expression import FieldReference
from columnar_nn.kernels import Team
from columnar_nn.plan.nodes import (
    AggregationNode,
    FilterNode,
    LimitNode,
    LocalPartitionNode,
    OrderByNode,
    PlanNode,
    ProjectNode,
    TableScanNode,
    ValuesNode,
)

Parts = list[list[PlanNode]]


def parts(chain: Iterable[PlanNode]) -> Parts:
    """Nodes, scan first, cut after each LocalPartition: those of each pipeline."""
    found: Parts = [[]]
    for node in chain:
        found[-1].append(node)
        if isinstance(node, LocalPartitionNode):
            found.append([])
    return found


def stream(
    scan: PlanNode, batches: Mapping[str, Iterable[pa.RecordBatch]]
) -> Iterator[pa.RecordBatch]:
    """What a scan reads: its own source, or what `batches` has under its id, and nothing else."""
    for node_id, given in batches.items():
        if node_id != scan.id:
            raise UsageError(f"no scan has plan node id {node_id!r}: the plan's has {scan.id!r}")
        if not isinstance(given, Iterable):
            raise InvalidDataError(
                f"{type(given).__name__} is no stream of batches: give a list of RecordBatches"
            )
        return iter(given)
    if isinstance(scan, ValuesNode):
        return iter(scan.values)
    assert isinstance(scan, TableScanNode)
    return scan.table.read(scan.output_type.names)


def projection(node: PlanNode, keep_denormals: bool) -> Projection | None:
    """The expressions that a node computes of each batch; None if it has none."""
    if isinstance(node, ProjectNode):
        return Projection(node.names, node.projections, keep_denormals)
    if isinstance(node, FilterNode):
        return Projection(["keep"], [node.filter], keep_denormals)
    if isinstance(node, AggregationNode) and node.step != "FINAL":
        keys = [
            FieldReference(key, node.source.output_type.field(key).type)
            for key in node.grouping_keys
        ]
        arguments = [a.argument for a in node.aggregates if a.argument is not None]
        names = aggregation.argument_names(node)
        return Projection(names, [*keys, *arguments], keep_denormals)
    return None


def operator(
    node: PlanNode, projection: Projection | None, profile: bool, team: Team | None
) -> Operator:
    """A new operator of a node in the middle of a pipeline, with what `projection` made of it.

    With `profile` its kernels are timed; a `team` shares their work.
    """
    if isinstance(node, FilterNode):
        assert projection is not None
        return Filter(node.id, projection, team)
    if isinstance(node, ProjectNode):
        assert projection is not None
        times = np.zeros(len(projection.steps), np.int64) if profile else None
        return Project(node.id, projection, times, team)
    if isinstance(node, AggregationNode):
        return HashAggregation(node, projection, team)
    if isinstance(node, LimitNode):
        return Limit(node.id, node.offset, node.count)
    assert isinstance(node, OrderByNode)
    return OrderBy(node.id, node.keys)


def step_stats(
    projections: Mapping[str, Projection], operators: Sequence[Operator]
) -> tuple[StepStats, ...]:
    """What the kernels of ProjectNodes did in all of the `operators`, by plan node id."""
    result = []
    projects = [operator for operator in operators if isinstance(operator, Project)]
    for node_id, projection in projections.items():
        mine = [operator for operator in projects if operator.plan_node_id == node_id]
        rows = sum(operator.num_rows for operator in mine)
        for index, step in enumerate(projection.steps):
            times = [
                int(operator.step_nanoseconds[index])
                for operator in mine
                if operator.step_nanoseconds is not None
            ]
            result.append(replace(step, plan_node_id=node_id, nanoseconds=sum(times), rows=rows))
    return tuple(result)
