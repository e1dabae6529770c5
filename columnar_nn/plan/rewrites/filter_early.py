"""filter_early: conditions without a network are asked before one is computed, and before joins.

    Filter(argmax(net) = 3 and id < 5, x)  ->  Filter(argmax(net) = 3, Filter(id < 5, x))
    Filter(id < 5, Project(id, net, x))    ->  Project(id, net, Filter(id < 5, x))

A condition that may fail is asked of no row that another one, or a join, would have dropped.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import singledispatch

from columnar_nn.expressions.expression import Expression
from columnar_nn.plan.hash_join import HashJoinNode
from columnar_nn.plan.nodes import (
    AggregationNode,
    FilterNode,
    LocalPartitionNode,
    OrderByNode,
    ProjectNode,
    UnnestNode,
)
from columnar_nn.plan.plan_node import PlanNode, transform_up
from columnar_nn.plan.rewrites.conditions import (
    calls_kernels,
    cannot_fail,
    columns_of,
    conjunction,
    conjuncts,
    replaced,
)

Placed = Callable[[PlanNode, Expression], PlanNode]
"""Puts a condition somewhere below a node's place: the node over other rows."""


def filter_early(plan: PlanNode) -> PlanNode:
    """The plan with each filter's cheap conditions as far down as they may go."""
    return transform_up(plan, lambda node: _lower(node) if isinstance(node, FilterNode) else node)


def _lower(node: FilterNode) -> PlanNode:
    numbers = itertools.count()
    stays: list[Expression] = []
    sinks: list[Expression] = []
    costly: list[Expression] = []

    def placed(source: PlanNode, condition: Expression) -> PlanNode:
        below = _below(source, condition, placed)
        return below or FilterNode(f"{node.id}.early{next(numbers)}", source, condition)

    for condition in conjuncts(node.filter):
        if calls_kernels(condition):
            costly.append(condition)
        elif not cannot_fail(condition) and (costly or stays):
            stays.append(condition)
        elif _below(node.source, condition, lambda source, _: source) is not None:
            sinks.append(condition)
        else:
            stays.append(condition)
    if not sinks and not (stays and costly):
        return node
    source = _sunk(node.source, sinks, placed)
    early = [condition for condition in stays if cannot_fail(condition)] if costly else []
    if early:
        source = FilterNode(f"{node.id}.early{next(numbers)}", source, conjunction(early))
    late = [c for c in conjuncts(node.filter) if c not in sinks and c not in early]
    return FilterNode(node.id, source, conjunction(late)) if late else source


def _sunk(source: PlanNode, conditions: Sequence[Expression], placed: Placed) -> PlanNode:
    if not conditions:
        return source
    whole = conjunction(conditions)
    if _below(source, whole, lambda below, _: below) is not None:
        return placed(source, whole)
    for condition in conditions:
        source = placed(source, condition)
    return source


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
def _(node: HashJoinNode, condition: Expression, placed: Placed) -> PlanNode | None:
    columns, left = columns_of([condition]), set(node.left.output_type.names)
    if not cannot_fail(condition):
        return None
    if columns <= left:
        return node.with_sources([placed(node.left, condition), node.right])
    if node.join_type == "INNER" and not columns & left:
        return node.with_sources([node.left, placed(node.right, condition)])
    return None
