"""Aggregations: the node, as Velox's (velox/core/PlanNode.h), and which aggregates there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import DISTINCT, Call, Cast, Expression
from columnar_nn.expressions.types import FLOATS, DataType, is_key_type, type_name
from columnar_nn.functions.resolve import resolve
from columnar_nn.plan.expression_text import expression_texts
from columnar_nn.plan.nodes import LocalPartitionNode
from columnar_nn.plan.plan_node import Gather, PlanNode, UnaryNode
from columnar_nn.record import ValueRecord

AggregationStep = Literal["SINGLE", "PARTIAL", "FINAL"]


class Aggregate(ValueRecord):
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
            a if a.argument is None else a.replaced(argument=next(arguments))
            for a in self.aggregates
        )
        return self.replaced(aggregates=aggregates)

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
        partial = self.replaced(id=f"{self.id}.partial", step="PARTIAL")
        gathered = LocalPartitionNode(f"{self.id}.gather", (partial,))
        return self.replaced(step="FINAL", source=gathered)

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


def checked_aggregate(call: Expression, name: str, schema: pa.Schema) -> Aggregate:
    """The aggregate of a call over columns of `schema`; raises InvalidPlanError if it is none."""
    if not isinstance(call, Call) or call.function not in AGGREGATES:
        raise InvalidPlanError(
            f"{name} is no aggregate: use {', '.join(AGGREGATES)} of one argument"
        )
    if others := call.attributes.keys() - {DISTINCT}:
        raise InvalidPlanError(f"{call.function} has no attribute {', '.join(sorted(others))}")
    distinct = bool(call.attributes.get(DISTINCT))
    if call.function == "count" and not call.inputs and not distinct:
        return Aggregate(name, "count", None, pa.int64())
    if len(call.inputs) != 1:
        raise InvalidPlanError(f"{name}: {call.function} takes one argument")
    (argument,) = resolve(call.inputs, schema)
    if distinct and not is_key_type(argument.type):
        raise InvalidPlanError(
            f"{call.function}(DISTINCT ...) does not take {type_name(argument.type)}"
        )
    result = AGGREGATES[call.function](argument.type)
    if result is None:
        raise InvalidPlanError(
            "aggregate function signature is not supported: "
            f"{call.function}({type_name(argument.type)})"
        )
    if call.function == "avg" and argument.type in (pa.int8(), pa.uint8()):
        argument = Cast(argument, pa.int16())  # as Velox, whose avg begins at SMALLINT
    return Aggregate(name, call.function, argument, result, distinct)


def _sum_type(argument: DataType) -> DataType | None:
    if pa.types.is_integer(argument):
        return pa.int64()
    return argument if argument in FLOATS else None


def _average_type(argument: DataType) -> DataType | None:
    if pa.types.is_integer(argument):
        return pa.float64()
    return argument if argument in FLOATS else None


_COMPARABLE = (*FLOATS, pa.bool_(), pa.string(), pa.date32())


def _extreme_type(argument: DataType) -> DataType | None:
    counts = pa.types.is_integer(argument) or pa.types.is_timestamp(argument)
    return argument if counts or argument in _COMPARABLE else None


AGGREGATES = {
    "count": lambda argument: pa.int64(),
    "sum": _sum_type,
    "avg": _average_type,
    "min": _extreme_type,
    "max": _extreme_type,
}
"""Aggregate function to the type of its result, None where it does not take the argument."""
