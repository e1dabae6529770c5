"""NestedLoopJoin: every row beside every other, as Velox's node of that name."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.expressions.expression import Expression
from columnar_nn.plan.expression_text import expression_texts
from columnar_nn.plan.join import JoinNode, JoinType, checked_join
from columnar_nn.plan.plan_node import PlanNode

_JOIN_TYPES: tuple[JoinType, ...] = ("INNER", "LEFT", "RIGHT", "FULL")


class NestedLoopJoinNode(JoinNode):
    """A join without keys: INNER without a filter is the cross product."""

    name = "NestedLoopJoin"

    @property
    def details(self) -> str:
        """The type and the filter."""
        if self.filter is None:
            return self.join_type
        return f"{self.join_type}, joinCondition: {expression_texts([self.filter])[0]}"


def checked_nested_loop_join(
    node_id: str,
    left: PlanNode,
    right: PlanNode,
    join_type: JoinType,
    condition: Expression | None,
    outputs: Sequence[str] | None,
) -> NestedLoopJoinNode:
    """The node; raises InvalidPlanError as `checked_join` does."""
    checked = checked_join(
        "nested_loop_join", join_type, _JOIN_TYPES, left, right, condition, outputs
    )
    return NestedLoopJoinNode(node_id, **checked)
