"""Fluent construction of plans, each step checked against the one before, as in Velox."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from columnar_nn.data.arrow_source import decoded, open_source
from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import (
    Expression,
    FieldReference,
)
from columnar_nn.expressions.types import (
    DataType,
    row_type_text,
    type_name,
)
from columnar_nn.functions.resolve import field_type, refuse_uncomparable, resolve
from columnar_nn.plan.nodes import (
    FilterNode,
    LocalPartitionNode,
    ProjectNode,
    TableScanNode,
    ValuesNode,
)
from columnar_nn.plan.plan_node import PlanNode, checked_plan, nodes
from columnar_nn.shown import Shown, line

if TYPE_CHECKING:
    from columnar_nn.plan.join import JoinType
    from columnar_nn.plan.order import SortingKey

Projections = Sequence[str] | Mapping[str, str | Expression]

_NAME = r"(?!(?:true|false|null)$)[a-z_][a-z_0-9]*"


class PlanBuilder(Shown):
    """Builds a plan from its scan upwards; every method returns the builder.

    Methods raise InvalidPlanError, naming the field, the type or the text at fault and what
    exists. Node ids count up from 0, as in Velox. Plans that are to be parts of one, as sources
    of `local_partition`, are built by builders that share their ids:

        builder = PlanBuilder()
        parts = [builder.new_builder().table_scan(path).plan() for path in paths]
        plan = builder.local_partition(parts).limit(10).plan()
    """

    def __init__(self) -> None:
        self._plan: PlanNode | None = None
        self._ids: Iterator[int] = itertools.count()

    def __repr__(self) -> str:
        if self._plan is None:
            return line("PlanBuilder:", "no scan yet")
        columns = row_type_text(self._plan.output_type)
        return line(f"PlanBuilder at {self._plan.name}[{self._plan.id}]:", columns)

    def new_builder(self) -> PlanBuilder:
        """An empty builder, none of whose nodes has an id that this one gives or has given."""
        builder = PlanBuilder()
        builder._ids = self._ids
        return builder

    def plan(self) -> PlanNode:
        """The root node."""
        if self._plan is None:
            raise InvalidPlanError("the plan is empty: start with values() or table_scan()")
        return self._plan

    def _id(self) -> str:
        return str(next(self._ids))

    def _first(self, node: PlanNode) -> PlanBuilder:
        if self._plan is not None:
            raise InvalidPlanError(f"{node.name} must come first, not after {self._plan.name}")
        self._plan = node
        return self

    def values(self, batches: Sequence[pa.RecordBatch]) -> PlanBuilder:
        """Batches of one schema, held by the plan."""
        if not isinstance(batches, Sequence):
            raise InvalidPlanError(
                f"values() needs a list of RecordBatches, not {type(batches).__name__}: use "
                "table_scan() for a table"
            )
        if not batches:
            raise InvalidPlanError("values() needs at least one batch, for its schema")
        for batch in batches:
            if not isinstance(batch, pa.RecordBatch):
                raise InvalidPlanError(f"values() needs RecordBatches, not {type(batch).__name__}")
        schema = batches[0].schema
        if any(batch.schema != schema for batch in batches):
            raise InvalidPlanError("values() needs batches of one schema")
        return self._first(ValuesNode(self._id(), decoded(schema), tuple(batches)))

    def table_scan(self, source: Any, columns: Sequence[str] | None = None) -> PlanBuilder:
        """All or some `columns` of an Arrow source: see `arrow_source.open_source`."""
        _refuse_text(columns, "table_scan()")
        table = open_source(source)
        names = table.schema.names if columns is None else columns
        output = pa.schema([pa.field(n, field_type(table.schema, n)) for n in names])
        return self._first(TableScanNode(self._id(), decoded(output), table))

    def filter(self, condition: str | Expression) -> PlanBuilder:
        """Rows for which a BOOLEAN expression is true."""
        source = self.plan()
        (resolved,) = resolve([self._parse(condition)[0]], source.output_type)
        if resolved.type != pa.bool_():
            raise InvalidPlanError(
                f"Filter expression must be of type BOOLEAN. Got {type_name(resolved.type)}."
            )
        self._plan = FilterNode(self._id(), source, resolved)
        return self

    def project(self, projections: Projections) -> PlanBuilder:
        """Columns by name, each an expression or its text; or texts, "expression AS name"."""
        _refuse_text(projections, "project()")
        source = self.plan()
        names: list[str] = []
        expressions: list[Expression] = []
        if isinstance(projections, Mapping):
            for name, projection in projections.items():
                names.append(name)
                expressions.append(self._parse(projection)[0])
        else:
            for index, text in enumerate(projections):
                expression, alias = self._parse(text)
                if alias is None and isinstance(expression, FieldReference):
                    alias = expression.name
                names.append(alias or f"p{index}")
                expressions.append(expression)
        resolved = resolve(expressions, source.output_type)
        self._plan = ProjectNode(self._id(), source, tuple(names), tuple(resolved))
        return self

    def aggregate(self, grouping_keys: Sequence[str], aggregates: Projections) -> PlanBuilder:
        """Groups of equal keys with aggregates such as "count(1) AS n" or "avg(x)", or by name.

        "count(DISTINCT x)" aggregates each value once.
        """
        from columnar_nn.plan.aggregation import AggregationNode, checked_aggregate

        _refuse_text(grouping_keys, "aggregate()")
        _refuse_text(aggregates, "aggregate()")
        source = self.plan()
        schema = source.output_type
        for key in grouping_keys:
            refuse_uncomparable("group", schema, key)
        resolved = []
        if isinstance(aggregates, Mapping):
            for name, aggregate in aggregates.items():
                resolved.append(checked_aggregate(self._parse(aggregate)[0], name, schema))
        else:
            for index, text in enumerate(aggregates):
                expression, alias = self._parse(text)
                resolved.append(checked_aggregate(expression, alias or f"a{index}", schema))
        names = [*grouping_keys, *(aggregate.name for aggregate in resolved)]
        _refuse_same_names(names, "aggregate")
        self._plan = AggregationNode(
            self._id(), source, "SINGLE", tuple(grouping_keys), tuple(resolved)
        )
        return self

    def distinct(self) -> PlanBuilder:
        """Rows that differ, each once: an aggregation without aggregates, as in Velox."""
        return self.aggregate(self.plan().output_type.names, [])

    def limit(self, count: int, offset: int = 0) -> PlanBuilder:
        """At most `count` rows after the first `offset`."""
        from columnar_nn.plan.order import LimitNode

        if count < 1 or offset < 0:
            raise InvalidPlanError(f"limit {count} offset {offset}: needs count > 0, offset >= 0")
        self._plan = LimitNode(self._id(), self.plan(), offset, count)
        return self

    def order_by(self, keys: Sequence[str | SortingKey]) -> PlanBuilder:
        """Sorted by columns: "name", "name DESC", "name ASC NULLS FIRST"; nulls go last."""
        from columnar_nn.plan.order import OrderByNode, sorting_keys

        source = self.plan()
        _refuse_text(keys, "order_by()")
        self._plan = OrderByNode(self._id(), source, sorting_keys(keys, source.output_type))
        return self

    def top_n(self, keys: Sequence[str | SortingKey], count: int) -> PlanBuilder:
        """The first `count` rows of what `order_by` gives, without sorting all."""
        from columnar_nn.plan.order import TopNNode, sorting_keys

        _refuse_text(keys, "top_n()")
        source = self.plan()
        parsed = sorting_keys(keys, source.output_type)
        if count < 1 or not parsed:
            raise InvalidPlanError(f"top_n() of {count} rows by {len(parsed)} keys: 1 at least")
        self._plan = TopNNode(self._id(), source, parsed, count)
        return self

    def hash_join(
        self,
        left_keys: Sequence[str],
        right_keys: Sequence[str],
        build_plan_node: PlanNode,
        output: Sequence[str] | None = None,
        filter: str | Expression | None = None,
        join_type: JoinType = "INNER",
        null_aware: bool = False,
    ) -> PlanBuilder:
        """Joined with the rows of another plan, made by `new_builder`, where keys are equal.

        That one is held in memory: it should be the smaller. `output` are columns of both sides,
        all if it is left out; LEFT SEMI (FILTER) and ANTI joins give those of the left.
        """
        from columnar_nn.plan.hash_join import checked_hash_join

        checked_plan(build_plan_node, "hash_join()")
        for names in (left_keys, right_keys, output):
            _refuse_text(names, "hash_join()")
        condition = None if filter is None else self._parse(filter)[0]
        return self._joined(
            checked_hash_join(
                *(self._id(), self.plan(), build_plan_node, join_type, left_keys, right_keys),
                *(condition, null_aware, output),
            )
        )

    def nested_loop_join(
        self,
        build_plan_node: PlanNode,
        output: Sequence[str] | None = None,
        condition: str | Expression | None = None,
        join_type: JoinType = "INNER",
    ) -> PlanBuilder:
        """Joined with all rows of another plan, held in memory, or those for which it is true.

        INNER, LEFT, RIGHT and FULL; see `hash_join`, which does not look at every pair.
        """
        from columnar_nn.plan.nested_loop_join import checked_nested_loop_join

        checked_plan(build_plan_node, "nested_loop_join()")
        _refuse_text(output, "nested_loop_join()")
        parsed = None if condition is None else self._parse(condition)[0]
        return self._joined(
            checked_nested_loop_join(
                self._id(), self.plan(), build_plan_node, join_type, parsed, output
            )
        )

    def _joined(self, node: PlanNode) -> PlanBuilder:
        _refuse_same_ids(node)
        self._plan = node
        return self

    def unnest(
        self, replicate: Sequence[str], unnest: Sequence[str], ordinality: str | None = None
    ) -> PlanBuilder:
        """A row for each element of the array columns `unnest`: `unnest.UnnestNode`."""
        from columnar_nn.plan.unnest import UnnestNode

        for names in (replicate, unnest):
            _refuse_text(names, "unnest()")
        source = self.plan()
        for name in (*replicate, *unnest):
            field_type(source.output_type, name)
        if not unnest:
            raise InvalidPlanError("unnest() needs a column of arrays, one at least")
        for name in unnest:
            data_type = source.output_type.field(name).type
            if not _is_array(data_type):
                raise InvalidPlanError(f"cannot unnest {name}: it holds {data_type}, no arrays")
        node = UnnestNode(self._id(), source, tuple(replicate), tuple(unnest), ordinality)
        _refuse_same_names(node.output_type.names, "unnest")
        self._plan = node
        return self

    def local_partition(self, sources: Iterable[PlanNode] | None = None) -> PlanBuilder:
        """From here on one driver: gathers what the drivers below produce, in scan order.

        With `sources`, which then come first: the rows of several plans that give the same columns,
        one plan's after the other's (UNION ALL).
        """
        if sources is None:
            self._plan = LocalPartitionNode(self._id(), (self.plan(),))
            return self
        inputs = () if isinstance(sources, PlanNode) else tuple(sources)
        if not inputs:
            raise InvalidPlanError("local_partition() needs a list of plans, one at least")
        for source in inputs:
            checked_plan(source, "local_partition()")
        _refuse_other_columns(inputs)
        node = LocalPartitionNode(self._id(), inputs)
        _refuse_same_ids(node)
        return self._first(node)

    @staticmethod
    def _parse(expression: str | Expression) -> tuple[Expression, str | None]:
        if isinstance(expression, Expression):
            return expression, None
        if not isinstance(expression, str):
            raise InvalidPlanError(
                f"{expression!r} is no expression: write SQL text, as 'x < 2', or call(\"lt\", ...)"
            )
        if re.fullmatch(_NAME, expression, re.IGNORECASE):
            return FieldReference(expression), None
        from columnar_nn.plan.sql_expression import parse_expression  # 0.15 s of sqlglot

        return parse_expression(expression)


def _refuse_text(given: object, where: str) -> None:
    """Raises InvalidPlanError for a text where several are wanted: it would be taken by letters."""
    if isinstance(given, str):
        raise InvalidPlanError(f"{where} takes a list of texts: [{given!r}]")


def _is_array(data_type: DataType) -> bool:
    is_tensor = isinstance(data_type, pa.FixedShapeTensorType)
    kinds = pa.types
    return (
        is_tensor
        or kinds.is_list(data_type)
        or kinds.is_large_list(data_type)
        or kinds.is_fixed_size_list(data_type)
    )


def _refuse_same_names(names: Sequence[str], method: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidPlanError(f"{method}() would give two columns {name}: rename one")


def _refuse_same_ids(node: PlanNode) -> None:
    for node_id, count in Counter(below.id for below in nodes(node)).items():
        if count > 1:
            raise InvalidPlanError(
                f"two nodes have the id {node_id}: make each source with new_builder()"
            )


def _refuse_other_columns(sources: Sequence[PlanNode]) -> None:
    """Raises InvalidPlanError unless all sources give the same columns."""
    first = sources[0].output_type
    for index, source in enumerate(sources[1:], start=1):
        columns = source.output_type
        if columns.names != first.names:
            raise InvalidPlanError(
                f"source {index} of local_partition() gives columns {', '.join(columns.names)}; "
                f"source 0 gives {', '.join(first.names)}: project them alike"
            )
        for field, wanted in zip(columns, first, strict=True):
            if field.type != wanted.type:
                raise InvalidPlanError(
                    f"source {index} of local_partition() gives {field.name} as {field.type}, "
                    f"source 0 as {wanted.type}: cast one of them"
                )
