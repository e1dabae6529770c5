"""Plan nodes, named and shaped as Velox's (velox/core/PlanNode.h): a tree, immutable.

A node's `output_type` is an Arrow schema. Nodes are made by `builder.PlanBuilder`, which
checks them, and printed by `text`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from columnar_nn.data.arrow_source import ArrowSource
from columnar_nn.expressions.expression import Expression

Step = Literal["SINGLE", "PARTIAL", "FINAL"]


@dataclass(frozen=True, eq=False)
class ValuesNode:
    """Batches that are part of the plan."""

    id: str
    values: tuple[pa.RecordBatch, ...]
    output_type: pa.Schema
    name = "Values"
    sources = ()


@dataclass(frozen=True, eq=False)
class TableScanNode:
    """Columns of an Arrow source: a file, or batches that a task is given under the node's id."""

    id: str
    table: ArrowSource
    output_type: pa.Schema
    name = "TableScan"
    sources = ()


@dataclass(frozen=True, eq=False)
class FilterNode:
    """Rows for which `filter` (BOOLEAN) is true; not those for which it is null."""

    id: str
    filter: Expression
    source: PlanNode
    name = "Filter"

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The node it filters."""
        return (self.source,)

    @property
    def output_type(self) -> pa.Schema:
        """That of its source."""
        return self.source.output_type


@dataclass(frozen=True, eq=False)
class ProjectNode:
    """One expression for each output column."""

    id: str
    names: tuple[str, ...]
    projections: tuple[Expression, ...]
    source: PlanNode
    name = "Project"

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The node whose columns the expressions read."""
        return (self.source,)

    @property
    def output_type(self) -> pa.Schema:
        """Names and types of the expressions."""
        return pa.schema(
            [pa.field(n, e.type) for n, e in zip(self.names, self.projections, strict=True)]
        )


@dataclass(frozen=True)
class Aggregate:
    """One aggregate: count, sum, avg, min or max of an argument; count may have none."""

    name: str
    function: str
    argument: Expression | None
    type: pa.DataType


@dataclass(frozen=True, eq=False)
class AggregationNode:
    """Groups of equal keys, and aggregates of each; one group of all rows without keys.

    Step PARTIAL gives intermediate results (avg as a struct of sum and count), FINAL merges
    such results of several drivers, SINGLE does both.
    """

    id: str
    step: Step
    grouping_keys: tuple[str, ...]
    aggregates: tuple[Aggregate, ...]
    source: PlanNode
    output_type: pa.Schema
    name = "Aggregation"

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The node whose rows are aggregated."""
        return (self.source,)


@dataclass(frozen=True, eq=False)
class LimitNode:
    """At most `count` rows after the first `offset`, in input order."""

    id: str
    offset: int
    count: int
    source: PlanNode
    name = "Limit"

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The node whose rows are counted."""
        return (self.source,)

    @property
    def output_type(self) -> pa.Schema:
        """That of its source."""
        return self.source.output_type


@dataclass(frozen=True)
class SortingKey:
    """A column to sort by."""

    column: str
    ascending: bool = True
    nulls_first: bool = False


@dataclass(frozen=True, eq=False)
class OrderByNode:
    """All rows, sorted; equal ones stay in input order."""

    id: str
    keys: tuple[SortingKey, ...]
    source: PlanNode
    name = "OrderBy"

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The node whose rows are sorted."""
        return (self.source,)

    @property
    def output_type(self) -> pa.Schema:
        """That of its source."""
        return self.source.output_type


@dataclass(frozen=True, eq=False)
class LocalPartitionNode:
    """Gathers what several drivers produce into one stream, in the order of the scan."""

    id: str
    source: PlanNode
    name = "LocalPartition"

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The node that several drivers run."""
        return (self.source,)

    @property
    def output_type(self) -> pa.Schema:
        """That of its source."""
        return self.source.output_type


PlanNode = (
    ValuesNode
    | TableScanNode
    | FilterNode
    | ProjectNode
    | AggregationNode
    | LimitNode
    | OrderByNode
    | LocalPartitionNode
)


def nodes(plan: PlanNode) -> Iterator[PlanNode]:
    """The plan's nodes from the root down to the scan (a plan here is a chain)."""
    yield plan
    for source in plan.sources:
        yield from nodes(source)


def with_source(node: PlanNode, source: PlanNode) -> PlanNode:
    """The node over another source of the same output type; the same object if it is the same."""
    if isinstance(node, (ValuesNode, TableScanNode)) or node.source is source:
        return node
    return replace(node, source=source)
