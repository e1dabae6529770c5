"""prune_columns: nothing is read, computed or carried along that no node above asks for."""

from __future__ import annotations

from collections.abc import Collection

from columnar_nn.plan.aggregation import AggregationNode
from columnar_nn.plan.join import JoinNode
from columnar_nn.plan.order import LimitNode, OrderByNode, TopNNode
from columnar_nn.plan.plan_node import PlanNode
from columnar_nn.plan.rewrites.prune_simple import exactly, one_at_least, pruned, with_names
from columnar_nn.plan.rewrites.usage import columns_of
from columnar_nn.plan.unnest import UnnestNode


def prune_columns(plan: PlanNode) -> PlanNode:
    """The plan, which gives the same columns, without those that it does not need for them."""
    return pruned(plan, set(plan.output_type.names))


@pruned.register
def _(node: AggregationNode, needed: Collection[str]) -> PlanNode:
    kept = tuple(a for a in node.aggregates if a.name in needed)
    if not (kept or node.grouping_keys):
        kept = node.aggregates[:1]
    changed = node if kept == node.aggregates else node.replaced(aggregates=kept)
    read = with_names(node.grouping_keys, columns_of(changed.expressions))
    return changed.with_sources([pruned(node.source, read)])


@pruned.register
def _(node: LimitNode, needed: Collection[str]) -> PlanNode:
    return node.with_sources([pruned(node.source, needed)])


@pruned.register(OrderByNode)
@pruned.register(TopNNode)
def _(node: OrderByNode | TopNNode, needed: Collection[str]) -> PlanNode:
    read = with_names(needed, (key.column for key in node.keys))
    return node.with_sources([exactly(node.source, read, node.id)])


@pruned.register
def _(node: UnnestNode, needed: Collection[str]) -> PlanNode:
    kept = tuple(name for name in node.replicated if name in needed)
    changed = node if kept == node.replicated else node.replaced(replicated=kept)
    return changed.with_sources([pruned(node.source, with_names(kept, node.unnested))])


@pruned.register
def _(node: JoinNode, needed: Collection[str]) -> PlanNode:
    outputs = tuple(one_at_least(node.output_type, needed).names)
    changed = node if outputs == node.outputs else node.replaced(outputs=outputs)
    read = with_names(outputs, columns_of(node.expressions))
    left = read & set(node.left.output_type.names)
    return changed.with_sources(
        [
            pruned(node.left, with_names(left, node.left_keys)),
            pruned(node.right, with_names(read - left, node.right_keys)),
        ]
    )
