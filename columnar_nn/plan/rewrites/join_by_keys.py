"""join_by_keys: a condition of pairs that says that values are equal is looked up, not tried.

Filter(a = b, NestedLoopJoin(x, y))  ->  HashJoin(a = b, x, y)

The filter is first brought into the join by filter_early.
"""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.expressions.expression import Expression, FieldReference
from columnar_nn.plan.hash_join import HashJoinNode
from columnar_nn.plan.nested_loop_join import NestedLoopJoinNode
from columnar_nn.plan.nodes import ProjectNode
from columnar_nn.plan.plan_node import PlanNode, transform_up
from columnar_nn.plan.rewrites.conditions import conjunction, conjuncts
from columnar_nn.plan.rewrites.join_keys import join_keys, named_keys


def join_by_keys(plan: PlanNode) -> PlanNode:
    """The plan with hash joins where a nested loop join asks for equal values."""
    return transform_up(plan, _keyed)


def _keyed(node: PlanNode) -> PlanNode:
    if not isinstance(node, NestedLoopJoinNode) or node.filter is None:
        return node
    left, right = (source.output_type.names for source in node.sources)
    keys = join_keys(conjuncts(node.filter), left, [name for name in right if name not in left])
    if not keys.left:
        return node
    left_source, left_names = _with_keys(node.left, keys.left, f"{node.id}.left")
    right_source, right_names = _with_keys(node.right, keys.right, f"{node.id}.right")
    return HashJoinNode(
        node.id,
        left_source,
        right_source,
        node.join_type,
        node.outputs,
        conjunction(keys.rest) if keys.rest else None,
        left_names,
        right_names,
    )


def _with_keys(
    source: PlanNode, keys: Sequence[Expression], node_id: str
) -> tuple[PlanNode, tuple[str, ...]]:
    """The source with columns of the keys, and their names."""
    fields = source.output_type
    names, computed = named_keys(keys, fields.names, node_id)
    if not computed:
        return source, names
    references = [FieldReference(field.name, field.type) for field in fields]
    return ProjectNode(
        node_id, source, (*fields.names, *computed), (*references, *computed.values())
    ), names
