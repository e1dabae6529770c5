"""Joins: rows of two plans in pairs. What HashJoin and NestedLoopJoin have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import Expression
from columnar_nn.expressions.types import type_name
from columnar_nn.functions.resolve import field_type, resolve
from columnar_nn.plan.plan_node import Gather, PlanNode

JoinType = Literal["INNER", "LEFT", "RIGHT", "FULL", "LEFT SEMI (FILTER)", "ANTI"]
"""INNER gives the pairs, LEFT also left rows that are in none, beside nulls, RIGHT right ones, FULL
both; LEFT SEMI (FILTER) gives left rows that are in a pair, each once, and ANTI those that are in
none.
"""

JOIN_TYPES: tuple[JoinType, ...] = get_args(JoinType)


class JoinNode(PlanNode):
    """Rows of `left`, the probe side, with rows of `right`, the build side.

    Two rows are a pair if each of the left one's keys equals the right one's, none of them being
    null, and if the `filter`, if there is one, over the columns of both, is true. `outputs` names
    the columns that are given. A `null_aware` ANTI join is NOT IN: it gives a left row only if its
    key is sure to differ from all on the right, which a null is only from none at all.
    """

    left: PlanNode
    right: PlanNode
    join_type: JoinType
    outputs: tuple[str, ...]
    filter: Expression | None = None
    left_keys: tuple[str, ...] = ()
    right_keys: tuple[str, ...] = ()
    null_aware: bool = False
    reads_by_name = True

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The probe side, then the build side."""
        return self.left, self.right

    def with_sources(self, sources: Sequence[PlanNode]) -> PlanNode:
        """The node over others."""
        left, right = sources
        if left is self.left and right is self.right:
            return self
        return self.replaced(left=left, right=right)

    @cached_property
    def output_type(self) -> pa.Schema:
        """The columns named in `outputs`."""
        both = (*self.left.output_type, *self.right.output_type)
        fields = {field.name: field for field in reversed(both)}
        return pa.schema([fields[name] for name in self.outputs])

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The filter, if there is one, of pairs."""
        return () if self.filter is None else (self.filter,)

    def with_expressions(self, expressions: Sequence[Expression]) -> PlanNode:
        """The node with another filter."""
        if self.filter is None:
            return super().with_expressions(expressions)
        (condition,) = expressions
        return self.replaced(filter=condition)

    @property
    def gives_pairs(self) -> bool:
        """Whether rows of both sides come out, side by side."""
        return self.join_type in ("INNER", "LEFT", "RIGHT", "FULL")

    @property
    def keeps_left(self) -> bool:
        """Whether left rows that are in no pair come out, too, beside nulls."""
        return self.join_type in ("LEFT", "FULL")

    @property
    def keeps_right(self) -> bool:
        """Whether right rows that are in no pair come out, too, beside nulls."""
        return self.join_type in ("RIGHT", "FULL")

    @property
    def parallel(self) -> bool:
        """Each batch of the probe side is joined by itself, unless the right rows are kept.

        Which of those are in no pair only all batches tell.
        """
        return not self.keeps_right

    def gathered(self, gather: Gather) -> PlanNode:
        """The node over the probe side in one stream: the build side is read by all drivers."""
        return self.with_sources([gather(self.left), self.right])


def given_columns(left: PlanNode, right: PlanNode, join_type: JoinType) -> pa.Schema:
    """The columns that a join of this type may give."""
    if join_type in ("LEFT SEMI (FILTER)", "ANTI"):
        return left.output_type
    return pa.schema([*left.output_type, *right.output_type])


def checked_join(
    method: str,
    join_type: JoinType,
    known: Sequence[JoinType],
    left: PlanNode,
    right: PlanNode,
    condition: Expression | None,
    outputs: Sequence[str] | None,
) -> dict[str, Any]:
    """What every join node has, checked, by name; `condition` has no types yet.

    No `outputs` are all columns that the type gives. Raises InvalidPlanError, naming the builder's
    `method`, for a type that is not `known`, and names that are not one column.
    """
    if join_type not in known:
        raise InvalidPlanError(f"no join type {join_type!r}: use {', '.join(known)}")
    given = given_columns(left, right, join_type)
    names = given.names if outputs is None else tuple(outputs)
    if not names:
        raise InvalidPlanError(f"{method}() has to give a column: name one in output")
    for name in names:
        field_type(given, name)
        if names.count(name) > 1:
            raise InvalidPlanError(f"{method}() would give two columns {name}: name it once")
    resolved = None
    if condition is not None:
        (resolved,) = resolve([condition], given_columns(left, right, "INNER"))
        if resolved.type != pa.bool_():
            raise InvalidPlanError(
                f"Join filter must be of type BOOLEAN. Got {type_name(resolved.type)}."
            )
    return {
        "left": left,
        "right": right,
        "join_type": join_type,
        "outputs": tuple(names),
        "filter": resolved,
    }
