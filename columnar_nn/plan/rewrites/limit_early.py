"""limit_early: a network is computed for the rows that are wanted.

Limit(Project(net, x))            ->  Project(net, Limit(x))
TopN(by id, Project(id, net, x))  ->  Project(id, net, TopN(by id, x))
Limit(n, OrderBy(x))              ->  TopN(n, x), below the Limit if that has an offset
"""

from __future__ import annotations

from columnar_nn.expressions.expression import FieldReference
from columnar_nn.plan.nodes import ProjectNode
from columnar_nn.plan.order import LimitNode, OrderByNode, TopNNode
from columnar_nn.plan.plan_node import PlanNode, transform_up
from columnar_nn.plan.rewrites.conditions import calls_kernels

FEW_ROWS = 256
"""Rows whose network one driver may compute, if there are several: what is behind a limit is in
one stream. Several may compute more than are wanted sooner.
"""


class limit_early:  # noqa: N801 - a rule with a parameter
    """Moves limits and tops below projections of networks, for plans on so many threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __call__(self, plan: PlanNode) -> PlanNode:
        """The plan with its limits below what is computed of few rows."""
        return transform_up(plan, self._lower)

    def _lower(self, node: PlanNode) -> PlanNode:
        if isinstance(node, LimitNode) and isinstance(node.source, OrderByNode):
            node = _top(node, node.source)
        if not isinstance(node, LimitNode | TopNNode) or not isinstance(node.source, ProjectNode):
            return node
        project = node.source
        if not any(map(calls_kernels, project.projections)):
            return node
        if self._threads > 1 and node.count > FEW_ROWS:
            return node
        below: PlanNode | None = node.with_sources([project.source])
        if isinstance(node, TopNNode):
            below = _top_below(node, project)
        return node if below is None else project.with_sources([self._lower(below)])


def _top(limit: LimitNode, order: OrderByNode) -> PlanNode:
    count = limit.offset + limit.count
    top = TopNNode(order.id, order.source, order.keys, count)
    return limit.replaced(source=top) if limit.offset else top


def _top_below(top: TopNNode, project: ProjectNode) -> TopNNode | None:
    """The first rows of what is projected; None if a key is computed."""
    values = dict(zip(project.names, project.projections, strict=True))
    keys = []
    for key in top.keys:
        value = values[key.column]
        if not isinstance(value, FieldReference):
            return None
        keys.append(key.replaced(column=value.name))
    return top.replaced(source=project.source, keys=tuple(keys))
