"""skip_row_groups: a scan of a Parquet file leaves out row groups in which no row passes a filter.

The filter stays: a row group has other rows too. By the least and the greatest value of a column,
which the file states; only conditions that compare a column with a constant tell anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from columnar_nn.data.row_groups import Range
from columnar_nn.expressions.expression import Call, Cast, Constant, Expression, FieldReference
from columnar_nn.plan.nodes import FilterNode, TableScanNode
from columnar_nn.plan.plan_node import PlanNode, transform_up
from columnar_nn.plan.rewrites.conditions import cannot_fail, conjuncts

_MIRRORED = {"eq": "eq", "lt": "gt", "lte": "gte", "gt": "lt", "gte": "lte"}


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
    return node.with_sources([replace(scan, table=scan.table.within(ranges))])


def _ranges(condition: Expression) -> list[Range]:
    """Where the values of a column must lie, if the condition says so."""
    if not isinstance(condition, Call) or not cannot_fail(condition):
        return []
    inputs = condition.inputs
    if condition.function == "between":
        low, high = Call("gte", inputs[:2]), Call("lte", (inputs[0], inputs[2]))
        return [*_ranges(low), *_ranges(high)]
    if condition.function not in _MIRRORED:
        return []
    left, right = map(_bare, inputs)
    function = condition.function
    if isinstance(left, Constant):
        left, right, function = right, left, _MIRRORED[function]
    if not isinstance(left, FieldReference) or not isinstance(right, Constant):
        return []
    value = right.value
    if value is None or isinstance(value, bool) or value != value:
        return []
    if pa.types.is_floating(left.type) and function in ("gt", "gte"):
        return []  # NaN is greater than all, and no part of the file's greatest value
    bounds: dict[str, tuple[Any, Any]] = {
        "eq": (value, value),
        "lt": (None, value),
        "lte": (None, value),
    }
    return [Range(left.name, *bounds.get(function, (value, None)))]


def _bare(expression: Expression) -> Expression:
    """Without a cast, if that changes no value: of integers, or of a column of REAL to DOUBLE."""
    if not isinstance(expression, Cast):
        return expression
    source, target = expression.input.type, expression.type
    is_constant = isinstance(expression.input, Constant)
    are_integers = pa.types.is_integer(source) and pa.types.is_integer(target)
    are_floats = pa.types.is_floating(source) and pa.types.is_floating(target)
    exact = are_integers or (are_floats and not is_constant)
    return expression.input if exact else expression
