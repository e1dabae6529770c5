"""HashJoin: pairs of rows whose keys are equal, as Velox's node of that name."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import Expression
from columnar_nn.expressions.types import is_key_type
from columnar_nn.functions.resolve import field_type
from columnar_nn.plan.expression_text import expression_texts
from columnar_nn.plan.join import JOIN_TYPES, JoinNode, JoinType, checked_join
from columnar_nn.plan.plan_node import PlanNode


class HashJoinNode(JoinNode):
    """A join by one key at least: the build side is a table that is asked for a row's keys."""

    name = "HashJoin"

    @property
    def details(self) -> str:
        """The type, the keys and the filter."""
        pairs = zip(self.left_keys, self.right_keys, strict=True)
        text = f"{self.join_type} {' AND '.join(f'{left}={right}' for left, right in pairs)}"
        if self.filter is not None:
            text += f", filter: {expression_texts([self.filter])[0]}"
        return f"{text}, null aware" if self.null_aware else text


def checked_hash_join(
    node_id: str,
    left: PlanNode,
    right: PlanNode,
    join_type: JoinType,
    left_keys: Sequence[str],
    right_keys: Sequence[str],
    condition: Expression | None,
    null_aware: bool,
    outputs: Sequence[str] | None,
) -> HashJoinNode:
    """The node; raises InvalidPlanError for keys that cannot be compared, and as `checked_join`."""
    checked = checked_join("hash_join", join_type, JOIN_TYPES, left, right, condition, outputs)
    _refuse_keys(left.output_type, right.output_type, left_keys, right_keys)
    if null_aware and (join_type != "ANTI" or len(left_keys) > 1 or condition is not None):
        raise InvalidPlanError("only an ANTI join by one key, without filter, can be null aware")
    return HashJoinNode(
        node_id,
        **checked,
        left_keys=tuple(left_keys),
        right_keys=tuple(right_keys),
        null_aware=null_aware,
    )


def _refuse_keys(
    left: pa.Schema, right: pa.Schema, left_keys: Sequence[str], right_keys: Sequence[str]
) -> None:
    if not left_keys or len(left_keys) != len(right_keys):
        raise InvalidPlanError(
            f"hash_join() needs as many keys on both sides, one at least: it has "
            f"{len(left_keys)} on the left and {len(right_keys)} on the right"
        )
    for left_key, right_key in zip(left_keys, right_keys, strict=True):
        types = field_type(left, left_key), field_type(right, right_key)
        if types[0] != types[1]:
            raise InvalidPlanError(
                f"cannot join {left_key} ({types[0]}) with {right_key} ({types[1]}): "
                "cast one of them"
            )
        if not is_key_type(types[0]):
            raise InvalidPlanError(f"cannot join by {left_key}: it holds {types[0]}")
