"""Plan nodes, named and shaped as Velox's (velox/core/PlanNode.h), immutable.

They are made by `builder.PlanBuilder`, which checks them, and run by `exec/operators/`. Joins,
aggregations, what sorts and limits, and unnest have modules of their own, which a plan without them
does not load.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import pyarrow as pa

from columnar_nn.data.arrow_source import ArrowSource
from columnar_nn.expressions.expression import Expression
from columnar_nn.expressions.types import type_name
from columnar_nn.plan.plan_node import Gather, PlanNode, ScanNode, UnaryNode


class ValuesNode(ScanNode):
    """Batches that are part of the plan."""

    values: tuple[pa.RecordBatch, ...]
    name = "Values"

    def read(self) -> Iterator[pa.RecordBatch]:
        """The batches."""
        return iter(self.values)

    @property
    def details(self) -> str:
        """How many there are."""
        rows = sum(batch.num_rows for batch in self.values)
        return f"{rows} rows in {len(self.values)} vectors"


class TableScanNode(ScanNode):
    """Columns of an Arrow source: a file, or batches that a task is given under the node's id."""

    table: ArrowSource
    name = "TableScan"

    def read(self) -> Iterator[pa.RecordBatch]:
        """The table's batches."""
        return self.table.read(self.schema.names)

    @property
    def details(self) -> str:
        """The table's name, and the ranges outside of which rows may be left out."""
        ranges = ", ".join(map(str, self.table.ranges))
        return f"table: {self.table.name}{f', range filters: [{ranges}]' if ranges else ''}"


class FilterNode(UnaryNode):
    """Rows for which `filter` (BOOLEAN) is true; not those for which it is null."""

    filter: Expression
    name = "Filter"

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The condition."""
        return (self.filter,)

    def with_expressions(self, expressions: Sequence[Expression]) -> PlanNode:
        """The node with another condition."""
        (condition,) = expressions
        return self.replaced(filter=condition)

    @property
    def parallel(self) -> bool:
        """Each batch is filtered by itself."""
        return True

    @property
    def details(self) -> str:
        """The condition."""
        from columnar_nn.plan.expression_text import expression_texts  # of who shows a plan

        return f"expression: {expression_texts(self.expressions)[0]}"


class ProjectNode(UnaryNode):
    """One expression for each output column."""

    names: tuple[str, ...]
    projections: tuple[Expression, ...]
    name = "Project"
    reads_by_name = True

    @cached_property
    def output_type(self) -> pa.Schema:
        """Names and types of the expressions."""
        return pa.schema(
            [pa.field(n, e.type) for n, e in zip(self.names, self.projections, strict=True)]
        )

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The projections."""
        return self.projections

    def with_expressions(self, expressions: Sequence[Expression]) -> PlanNode:
        """The node with other projections."""
        return self.replaced(projections=tuple(expressions))

    @property
    def parallel(self) -> bool:
        """Each batch is projected by itself."""
        return True

    @property
    def details(self) -> str:
        """Name, type and text of each projection."""
        from columnar_nn.plan.expression_text import expression_texts  # of who shows a plan

        texts = expression_texts(self.projections)
        listed = (
            f"({name}:{type_name(expression.type)}, {text})"
            for name, expression, text in zip(self.names, self.projections, texts, strict=True)
        )
        return f"expressions: {', '.join(listed)}"


class LocalPartitionNode(PlanNode):
    """Gathers the rows of its sources, each perhaps run by several drivers, into one stream.

    That of several sources is UNION ALL: they have the same columns, and their rows come in the
    order of the sources, each one's in the order of its scan, whatever the number of threads.
    """

    inputs: tuple[PlanNode, ...]
    name = "LocalPartition"

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The nodes that are gathered."""
        return self.inputs

    def with_sources(self, sources: Sequence[PlanNode]) -> PlanNode:
        """The node over others."""
        if all(a is b for a, b in zip(self.inputs, sources, strict=True)):
            return self
        return self.replaced(inputs=tuple(sources))

    @property
    def output_type(self) -> pa.Schema:
        """That of each source."""
        return self.inputs[0].output_type

    def gathered(self, gather: Gather) -> PlanNode:
        """Itself: it is what gathers."""
        return self

    @property
    def serial(self) -> PlanNode:
        """Its source, if it has one."""
        return self.inputs[0] if len(self.inputs) == 1 else self

    @property
    def details(self) -> str:
        """The kind of partitioning: all rows into one."""
        return "GATHER"
