"""skip_row_groups: a scan of a Parquet file leaves out row groups in which no row passes a filter.

The filter stays: a row group has other rows too. By the least and the greatest value of a column,
which the file states; only conditions that compare a column with a constant tell anything.
"""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from columnar_nn.data.row_groups import Range
from columnar_nn.expressions.expression import Call, Cast, Constant, Expression, FieldReference
from columnar_nn.plan.nodes import FilterNode, TableScanNode
from columnar_nn.plan.plan_node import PlanNode, transform_up
from columnar_nn.plan.rewrites.conditions import conjuncts, widens

_BOUNDED = {
    "eq": (True, True),
    "lt": (True, False),
    "lte": (True, False),
    "gt": (False, True),
    "gte": (False, True),
}
"""Whether a value that is so to another has that as its upper bound, and as its lower one."""


def skip_row_groups(plan: PlanNode) -> PlanNode:
    """The plan whose scans below filters know what these let pass."""
    return transform_up(plan, _narrow)


def _narrow(node: PlanNode) -> PlanNode:
    if not isinstance(node, FilterNode):
        return node
    scan = node.source
    if not isinstance(scan, TableScanNode) or scan.table.within is None:
        return node
    ranges = [found for c in conjuncts(node.filter) for found in _ranges(c)]
    if not ranges:
        return node
    return node.with_sources([scan.replaced(table=scan.table.within(ranges))])


def _ranges(condition: Expression) -> list[Range]:
    """Where the values of a column must lie, if the condition says so."""
    if not isinstance(condition, Call):
        return []
    inputs = condition.inputs
    if condition.function == "between":
        low, high = Call("gte", inputs[:2]), Call("lte", (inputs[0], inputs[2]))
        return [*_ranges(low), *_ranges(high)]
    if condition.function not in _BOUNDED:
        return []
    left, right = map(_bare, inputs)
    below, above = _BOUNDED[condition.function]
    if isinstance(left, Constant):
        left, right, below, above = right, left, above, below
    if not (isinstance(left, FieldReference) and isinstance(right, Constant)):
        return []
    value = right.value
    # NaN is greater than all numbers, and no part of the file's greatest value.
    may_be_nan = pa.types.is_floating(left.type) and not below
    if may_be_nan or not _bounds(value):
        return []
    return [Range(left.name, value if above else None, value if below else None)]


def _bounds(value: Any) -> bool:
    """Whether a constant is a number that is finite, or a text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) or (is_number and math.isfinite(value))


def _bare(expression: Expression) -> Expression:
    """Without a cast that changes no value: to a wider integer, or of a REAL column to DOUBLE."""
    if not isinstance(expression, Cast):
        return expression
    source, target = expression.input.type, expression.type
    if pa.types.is_floating(source):
        is_exact = target == pa.float64() and not isinstance(expression.input, Constant)
    else:
        is_exact = pa.types.is_integer(target) and widens(source, target)
    return expression.input if is_exact else expression
