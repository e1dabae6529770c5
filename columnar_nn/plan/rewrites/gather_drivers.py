"""gather_drivers: what several drivers may run, then a gather, then what needs a single one.

An aggregation is split: each driver makes partial groups, one driver merges them.
"""

from __future__ import annotations

from columnar_nn.plan.nodes import LocalPartitionNode
from columnar_nn.plan.plan_node import PlanNode, transform_up


def gather_drivers(plan: PlanNode) -> PlanNode:
    """The plan with a LocalPartition wherever what several drivers run has to come together."""
    return _gather(transform_up(plan, _over_gathered))


def _over_gathered(node: PlanNode) -> PlanNode:
    return node if node.parallel else node.gathered(_gather)


def _gather(node: PlanNode) -> PlanNode:
    if not _has_several_drivers(node):
        return node
    return LocalPartitionNode(f"{node.id}.gather", (node,))


def _has_several_drivers(node: PlanNode) -> bool:
    # the first source is run with the node; others, such as a join's build side, by themselves
    return node.parallel and all(map(_has_several_drivers, node.sources[:1]))
