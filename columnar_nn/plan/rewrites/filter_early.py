"""filter_early: conditions without a network are asked before one is computed, and before joins.

    Filter(argmax(net) = 3 and id < 5, x)  ->  Filter(argmax(net) = 3, Filter(id < 5, x))
    Filter(id < 5, Project(id, net, x))    ->  Project(id, net, Filter(id < 5, x))
    Join(x, y, filter: a = b and b < 5)    ->  Join(x, Filter(b < 5, y), filter: a = b)

A condition that may fail is asked of no row that another one, or a join, would have dropped.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import singledispatch

from columnar_nn.expressions.expression import Expression
from columnar_nn.plan.aggregation import AggregationNode
from columnar_nn.plan.join import JoinNode
from columnar_nn.plan.nested_loop_join import NestedLoopJoinNode
from columnar_nn.plan.nodes import FilterNode, LocalPartitionNode, ProjectNode
from columnar_nn.plan.order import OrderByNode
from columnar_nn.plan.plan_node import PlanNode, transform_up
from columnar_nn.plan.rewrites.conditions import (
    calls_kernels,
    cannot_fail,
    conjunction,
    conjuncts,
    replaced,
)
from columnar_nn.plan.rewrites.usage import columns_of
from columnar_nn.plan.unnest import UnnestNode

Placed = Callable[[PlanNode, Expression], PlanNode]
"""Puts a condition somewhere below a node's place: the node over other rows."""


def filter_early(plan: PlanNode) -> PlanNode:
    """The plan with cheap conditions of filters and of joins as far down as they may go."""
    return transform_up(plan, _changed)


def _changed(node: PlanNode) -> PlanNode:
    if isinstance(node, FilterNode):
        return _lower(node)
    if isinstance(node, JoinNode) and node.filter is not None:
        return _of_one_side(node, node.filter)
    return node


class _Placing:
    """Puts conditions of one node below it, in filters whose ids tell where they come from."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._numbers = itertools.count()

    def asked(self, source: PlanNode, conditions: Sequence[Expression]) -> PlanNode:
        """The conditions asked of what the source gives."""
        node_id = f"{self._node_id}.early{next(self._numbers)}"
        return FilterNode(node_id, source, conjunction(conditions))

    def placed(self, source: PlanNode, condition: Expression) -> PlanNode:
        """The condition asked as far below the source as it may be."""
        below = _below(source, condition, self.placed)
        if below is not None:
            return below
        sinks, stays = _divided(conjuncts(condition), source)
        for sinking in sinks:
            source = self.placed(source, sinking)
        return self.asked(source, stays) if stays else source


def _of_one_side(node: JoinNode, condition: Expression) -> PlanNode:
    """The join with those conditions of pairs that are of one side's rows asked of that side.

    Not of a side whose rows the join gives also where they are in no pair.
    """
    left = set(node.left.output_type.names)
    sides: tuple[list[Expression], list[Expression]] = [], []
    rest: list[Expression] = []
    for part in conjuncts(condition):
        columns = columns_of([part])
        side = 0 if columns <= left else 1
        is_of_one = columns and (side == 0 or not columns & left)
        keeps = node.keeps_right if side else node.keeps_left or node.join_type == "ANTI"
        movable = is_of_one and not keeps and cannot_fail(part) and not calls_kernels(part)
        (sides[side] if movable else rest).append(part)
    if not any(sides):
        return node
    placing = _Placing(node.id)
    sources = [
        placing.placed(source, conjunction(conditions)) if conditions else source
        for source, conditions in zip(node.sources, sides, strict=True)
    ]
    changed = node.replaced(filter=conjunction(rest) if rest else None)
    return changed.with_sources(sources)


def _lower(node: FilterNode) -> PlanNode:
    placing = _Placing(node.id)
    conditions = conjuncts(node.filter)
    sinks, stays = _divided(conditions, node.source)
    costly = list(map(calls_kernels, stays))
    early = [c for c, is_costly in zip(stays, costly, strict=True) if not is_costly]
    early = list(filter(cannot_fail, early)) if any(costly) else []
    if not sinks and not early:
        return node
    source = placing.placed(node.source, conjunction(sinks)) if sinks else node.source
    if early:
        source = placing.asked(source, early)
    late = [condition for condition in stays if condition not in early]
    return FilterNode(node.id, source, conjunction(late)) if late else source


def _divided(
    conditions: Sequence[Expression], source: PlanNode
) -> tuple[list[Expression], list[Expression]]:
    """Those that may go below `source`, and those that stay above it, in their order.

    One that may fail does not pass one that stays.
    """
    sinks: list[Expression] = []
    stays: list[Expression] = []
    for condition in conditions:
        passes = not calls_kernels(condition) and (cannot_fail(condition) or not stays)
        sinks_here = passes and _below(source, condition, lambda below, _: below) is not None
        (sinks if sinks_here else stays).append(condition)
    return sinks, stays


@singledispatch
def _below(node: PlanNode, condition: Expression, placed: Placed) -> PlanNode | None:
    """The node with the condition asked of what it reads; None if that is another question."""
    return None


@_below.register
def _(node: FilterNode, condition: Expression, placed: Placed) -> PlanNode | None:
    if not (calls_kernels(node.filter) and cannot_fail(condition)):
        return None
    return node.with_sources([placed(node.source, condition)])


@_below.register
def _(node: ProjectNode, condition: Expression, placed: Placed) -> PlanNode | None:
    values = dict(zip(node.names, node.projections, strict=True))
    (below,) = replaced([condition], values)
    return None if calls_kernels(below) else node.with_sources([placed(node.source, below)])


@_below.register
def _(node: OrderByNode, condition: Expression, placed: Placed) -> PlanNode | None:
    return node.with_sources([placed(node.source, condition)])


@_below.register
def _(node: LocalPartitionNode, condition: Expression, placed: Placed) -> PlanNode | None:
    return node.with_sources([placed(source, condition) for source in node.sources])


@_below.register
def _(node: AggregationNode, condition: Expression, placed: Placed) -> PlanNode | None:
    if not node.grouping_keys or not columns_of([condition]).issubset(node.grouping_keys):
        return None
    return node.with_sources([placed(node.source, condition)])


@_below.register
def _(node: UnnestNode, condition: Expression, placed: Placed) -> PlanNode | None:
    if not cannot_fail(condition) or not columns_of([condition]).issubset(node.replicated):
        return None
    return node.with_sources([placed(node.source, condition)])


@_below.register
def _(node: JoinNode, condition: Expression, placed: Placed) -> PlanNode | None:
    columns, left = columns_of([condition]), set(node.left.output_type.names)
    if cannot_fail(condition):
        if columns <= left and not node.keeps_right:
            return node.with_sources([placed(node.left, condition), node.right])
        if not columns & left and node.gives_pairs and not node.keeps_left:
            return node.with_sources([node.left, placed(node.right, condition)])
    is_one = len(conjuncts(condition)) == 1  # of several, each goes where it may
    if isinstance(node, NestedLoopJoinNode) and node.join_type == "INNER" and is_one:
        # asked of the same pairs as above, those for which the filter is true
        conditions = [condition] if node.filter is None else [node.filter, condition]
        return node.replaced(filter=conjunction(conditions))
    return None
