"""What rows come first, and how many: nodes as Velox's (velox/core/PlanNode.h), and their keys."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.functions.resolve import refuse_uncomparable
from columnar_nn.plan.nodes import LocalPartitionNode
from columnar_nn.plan.plan_node import Gather, PlanNode, UnaryNode
from columnar_nn.record import ValueRecord

_SORTING_KEY = re.compile(r"(\S+)(?:\s+(asc|desc))?(?:\s+nulls\s+(first|last))?", re.IGNORECASE)


class LimitNode(UnaryNode):
    """At most `count` rows after the first `offset`, in input order."""

    offset: int
    count: int
    name = "Limit"

    @property
    def details(self) -> str:
        """The number of rows, and the offset if there is one."""
        return f"{self.count} offset {self.offset}" if self.offset else str(self.count)


class SortingKey(ValueRecord):
    """A column to sort by."""

    column: str
    ascending: bool = True
    nulls_first: bool = False


class OrderByNode(UnaryNode):
    """All rows, sorted; equal ones stay in input order."""

    keys: tuple[SortingKey, ...]
    name = "OrderBy"

    @property
    def details(self) -> str:
        """The keys, the first to sort by first."""
        return _keys_text(self.keys)


def _keys_text(keys: Sequence[SortingKey]) -> str:
    return ", ".join(
        f"{key.column} {'ASC' if key.ascending else 'DESC'} "
        f"NULLS {'FIRST' if key.nulls_first else 'LAST'}"
        for key in keys
    )


class TopNNode(UnaryNode):
    """The first `count` rows in the order of the keys, sorted; equal ones stay in input order.

    With `partial` a driver gives, in input order, at least those of its rows that may be among the
    first of all.
    """

    keys: tuple[SortingKey, ...]
    count: int
    partial: bool = False
    name = "TopN"

    @property
    def parallel(self) -> bool:
        """Each driver drops rows that cannot be among the first, if `partial`."""
        return self.partial

    def gathered(self, gather: Gather) -> PlanNode:
        """The first of what is left of several drivers' rows, if these run its source."""
        if self.partial or gather(self.source) is self.source:
            return super().gathered(gather)
        partial = self.replaced(id=f"{self.id}.partial", partial=True)
        return self.replaced(source=LocalPartitionNode(f"{self.id}.gather", (partial,)))

    @property
    def details(self) -> str:
        """The number of rows, and the keys."""
        return f"{'PARTIAL ' if self.partial else ''}{self.count} {_keys_text(self.keys)}"


def sorting_keys(keys: Sequence[str | SortingKey], schema: pa.Schema) -> tuple[SortingKey, ...]:
    """Of texts, as PlanBuilder.order_by takes them, or keys; raises InvalidPlanError for others."""
    parsed = []
    for key in keys:
        if isinstance(key, SortingKey):
            refuse_uncomparable("sort", schema, key.column)
            parsed.append(key)
            continue
        match = _SORTING_KEY.fullmatch(key.strip())
        if match is None:
            raise InvalidPlanError(f"cannot parse sorting key: {key}")
        refuse_uncomparable("sort", schema, match[1])
        ascending = (match[2] or "asc").lower() == "asc"
        parsed.append(SortingKey(match[1], ascending, (match[3] or "last").lower() == "first"))
    return tuple(parsed)
