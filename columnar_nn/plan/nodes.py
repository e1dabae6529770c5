"""Plan nodes, named and shaped as Velox's (velox/core/PlanNode.h), immutable.

They are made by `builder.PlanBuilder`, which checks them, and run by `exec/operators/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import pyarrow as pa

from columnar_nn.data.arrow_source import ArrowSource
from columnar_nn.expressions.expression import Expression
from columnar_nn.expressions.types import type_name
from columnar_nn.plan.expression_text import expression_texts
from columnar_nn.plan.plan_node import Gather, PlanNode, ScanNode, UnaryNode

AggregationStep = Literal["SINGLE", "PARTIAL", "FINAL"]


@dataclass(frozen=True, eq=False, repr=False)
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


@dataclass(frozen=True, eq=False, repr=False)
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


@dataclass(frozen=True, eq=False, repr=False)
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
        return replace(self, filter=condition)

    @property
    def parallel(self) -> bool:
        """Each batch is filtered by itself."""
        return True

    @property
    def details(self) -> str:
        """The condition."""
        return f"expression: {expression_texts(self.expressions)[0]}"


@dataclass(frozen=True, eq=False, repr=False)
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
        return replace(self, projections=tuple(expressions))

    @property
    def parallel(self) -> bool:
        """Each batch is projected by itself."""
        return True

    @property
    def details(self) -> str:
        """Name, type and text of each projection."""
        texts = expression_texts(self.projections)
        listed = (
            f"({name}:{type_name(expression.type)}, {text})"
            for name, expression, text in zip(self.names, self.projections, texts, strict=True)
        )
        return f"expressions: {', '.join(listed)}"


@dataclass(frozen=True)
class Aggregate:
    """One aggregate: count, sum, avg, min or max of an argument; count may have none.

    If it is `distinct`, each value of the argument counts once.
    """

    name: str
    function: str
    argument: Expression | None
    type: pa.DataType
    distinct: bool = False

    @property
    def intermediate_type(self) -> pa.DataType:
        """Type of what a PARTIAL aggregation gives."""
        if self.function == "avg":
            return pa.struct([("sum", pa.float64()), ("count", pa.int64())])
        if self.function == "sum" and pa.types.is_floating(self.type):
            return pa.float64()
        return self.type


@dataclass(frozen=True, eq=False, repr=False)
class AggregationNode(UnaryNode):
    """Groups of equal keys, and aggregates of each; one group of all rows without keys.

    Step PARTIAL gives intermediate results (avg as a struct of sum and count), FINAL merges
    such results of several drivers, SINGLE does both.
    """

    step: AggregationStep
    grouping_keys: tuple[str, ...]
    aggregates: tuple[Aggregate, ...]
    name = "Aggregation"
    reads_by_name = True

    @cached_property
    def output_type(self) -> pa.Schema:
        """The keys, then the aggregates."""
        keys = [pa.field(k, self.source.output_type.field(k).type) for k in self.grouping_keys]
        partial = self.step == "PARTIAL"
        results = [
            pa.field(a.name, a.intermediate_type if partial else a.type) for a in self.aggregates
        ]
        return pa.schema([*keys, *results])

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The aggregates' arguments; none in step FINAL, which merges what was made of them."""
        if self.step == "FINAL":
            return ()
        return tuple(a.argument for a in self.aggregates if a.argument is not None)

    def with_expressions(self, expressions: Sequence[Expression]) -> PlanNode:
        """The node with other arguments."""
        if self.step == "FINAL":
            return super().with_expressions(expressions)
        arguments = iter(expressions)
        aggregates = tuple(
            a if a.argument is None else replace(a, argument=next(arguments))
            for a in self.aggregates
        )
        return replace(self, aggregates=aggregates)

    @property
    def parallel(self) -> bool:
        """Each driver makes groups of its own, in step PARTIAL."""
        return self.step == "PARTIAL"

    def gathered(self, gather: Gather) -> PlanNode:
        """Step FINAL over the groups of several drivers, if these run its source.

        Of distinct values one driver has to see all.
        """
        is_divided = self.step == "SINGLE" and not any(a.distinct for a in self.aggregates)
        if not is_divided or gather(self.source) is self.source:
            return super().gathered(gather)
        partial = replace(self, id=f"{self.id}.partial", step="PARTIAL")
        gathered = LocalPartitionNode(f"{self.id}.gather", (partial,))
        return replace(self, step="FINAL", source=gathered)

    @property
    def details(self) -> str:
        """Step, keys and aggregates."""
        keys = f"[{', '.join(self.grouping_keys)}] " if self.grouping_keys else ""
        calls = []
        for aggregate in self.aggregates:
            arguments = [] if aggregate.argument is None else expression_texts([aggregate.argument])
            call = f"{aggregate.name} := {aggregate.function}({', '.join(arguments)})"
            calls.append(f"{call} distinct" if aggregate.distinct else call)
        return f"{self.step} {keys}{', '.join(calls)}"


@dataclass(frozen=True, eq=False, repr=False)
class LimitNode(UnaryNode):
    """At most `count` rows after the first `offset`, in input order."""

    offset: int
    count: int
    name = "Limit"

    @property
    def details(self) -> str:
        """The number of rows, and the offset if there is one."""
        return f"{self.count} offset {self.offset}" if self.offset else str(self.count)


@dataclass(frozen=True)
class SortingKey:
    """A column to sort by."""

    column: str
    ascending: bool = True
    nulls_first: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class OrderByNode(UnaryNode):
    """All rows, sorted; equal ones stay in input order."""

    keys: tuple[SortingKey, ...]
    name = "OrderBy"

    @property
    def details(self) -> str:
        """The keys, the first to sort by first."""
        return _keys_text(self.keys)


def _keys_text(keys: Sequence[SortingKey]) -> str:
    return ", ".join(
        f"{key.column} {'ASC' if key.ascending else 'DESC'} "
        f"NULLS {'FIRST' if key.nulls_first else 'LAST'}"
        for key in keys
    )


@dataclass(frozen=True, eq=False, repr=False)
class TopNNode(UnaryNode):
    """The first `count` rows in the order of the keys, sorted; equal ones stay in input order.

    With `partial` a driver gives, in input order, at least those of its rows that may be among the
    first of all.
    """

    keys: tuple[SortingKey, ...]
    count: int
    partial: bool = False
    name = "TopN"

    @property
    def parallel(self) -> bool:
        """Each driver drops rows that cannot be among the first, if `partial`."""
        return self.partial

    def gathered(self, gather: Gather) -> PlanNode:
        """The first of what is left of several drivers' rows, if these run its source."""
        if self.partial or gather(self.source) is self.source:
            return super().gathered(gather)
        partial = replace(self, id=f"{self.id}.partial", partial=True)
        return replace(self, source=LocalPartitionNode(f"{self.id}.gather", (partial,)))

    @property
    def details(self) -> str:
        """The number of rows, and the keys."""
        return f"{'PARTIAL ' if self.partial else ''}{self.count} {_keys_text(self.keys)}"


@dataclass(frozen=True, eq=False, repr=False)
class UnnestNode(UnaryNode):
    """A row for each element of a row's arrays, side by side: a shorter one goes on with nulls.

    The columns `replicated` are repeated beside them; the elements of column x are named x_e. If
    there is an `ordinality`, it names a last column that numbers each row's elements from 1.
    """

    replicated: tuple[str, ...]
    unnested: tuple[str, ...]
    ordinality: str | None
    name = "Unnest"
    reads_by_name = True

    @cached_property
    def output_type(self) -> pa.Schema:
        """Replicated columns, elements, ordinality."""
        source = self.source.output_type
        fields = [source.field(name) for name in self.replicated]
        fields += [pa.field(f"{n}_e", source.field(n).type.value_type) for n in self.unnested]
        if self.ordinality is not None:
            fields.append(pa.field(self.ordinality, pa.int64()))
        return pa.schema(fields)

    @property
    def parallel(self) -> bool:
        """Each batch is unnested by itself."""
        return True

    @property
    def details(self) -> str:
        """The columns that are unnested."""
        return ", ".join(self.unnested)


@dataclass(frozen=True, eq=False, repr=False)
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
        return replace(self, inputs=tuple(sources))

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
