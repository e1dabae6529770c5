"""HashJoin: pairs of rows of two plans whose keys are equal, as Velox's node of that name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import Expression
from columnar_nn.expressions.types import DataType, is_scalar, type_name
from columnar_nn.functions.resolve import field_type, resolve
from columnar_nn.plan.expression_text import expression_texts
from columnar_nn.plan.plan_node import PlanNode

JoinType = Literal["INNER", "LEFT", "LEFT SEMI (FILTER)", "ANTI"]
"""INNER gives the pairs, LEFT also left rows that are in none, beside nulls; LEFT SEMI (FILTER)
gives left rows that are in a pair, each once, and ANTI those that are in none.
"""

JOIN_TYPES: tuple[JoinType, ...] = get_args(JoinType)


@dataclass(frozen=True, eq=False, repr=False)
class HashJoinNode(PlanNode):
    """Rows of `left`, the probe side, with those of `right`, the build side, that have their keys.

    A key that is null is equal to none. If there is a `filter`, over the columns of both, a pair
    is one for which it is true. A `null_aware` ANTI join is NOT IN: it gives a left row only if its
    key is sure to differ from all on the right, which a null is only from none at all.
    """

    left: PlanNode
    right: PlanNode
    join_type: JoinType
    left_keys: tuple[str, ...]
    right_keys: tuple[str, ...]
    filter: Expression | None
    null_aware: bool
    outputs: tuple[str, ...]
    name = "HashJoin"
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
        return replace(self, left=left, right=right)

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
        return replace(self, filter=condition)

    @property
    def parallel(self) -> bool:
        """Each batch of the probe side is joined by itself."""
        return True

    @property
    def details(self) -> str:
        """The type, the keys and the filter."""
        pairs = zip(self.left_keys, self.right_keys, strict=True)
        text = f"{self.join_type} {' AND '.join(f'{left}={right}' for left, right in pairs)}"
        if self.filter is not None:
            text += f", filter: {expression_texts([self.filter])[0]}"
        return f"{text}, null aware" if self.null_aware else text


def checked_join(
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
    """The node; `condition` has no types yet, no `outputs` are all columns that the type gives.

    Raises InvalidPlanError for keys that cannot be compared, and names that are not one column.
    """
    if join_type not in JOIN_TYPES:
        raise InvalidPlanError(f"no join type {join_type!r}: use {', '.join(JOIN_TYPES)}")
    _refuse_keys(left.output_type, right.output_type, left_keys, right_keys)
    if null_aware and (join_type != "ANTI" or len(left_keys) > 1 or condition is not None):
        raise InvalidPlanError("only an ANTI join by one key, without filter, can be null aware")
    both = pa.schema([*left.output_type, *right.output_type])
    given = both if join_type in ("INNER", "LEFT") else left.output_type
    names = given.names if outputs is None else tuple(outputs)
    if not names:
        raise InvalidPlanError("hash_join() has to give a column: name one in output")
    for name in names:
        field_type(given, name)
        if names.count(name) > 1:
            raise InvalidPlanError(f"hash_join() would give two columns {name}: name it once")
    resolved = None
    if condition is not None:
        (resolved,) = resolve([condition], both)
        if resolved.type != pa.bool_():
            raise InvalidPlanError(
                f"Join filter must be of type BOOLEAN. Got {type_name(resolved.type)}."
            )
    return HashJoinNode(
        *(node_id, left, right, join_type, tuple(left_keys), tuple(right_keys)),
        *(resolved, null_aware, tuple(names)),
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


def is_key_type(data_type: DataType) -> bool:
    """Whether rows can be joined by values of a type."""
    is_binary = pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type)
    return is_binary or (is_scalar(data_type) and not pa.types.is_float16(data_type))
