"""share_networks: what is computed twice of a row is computed once.

Equal calls of a node become one. A network that a filter asks for, and the projection or the
aggregation above it again, is computed below the filter:

    Project(net, Filter(net = 3, x))  ->  Project(n, Filter(n = 3, Project(net AS n, x)))
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from columnar_nn.expressions.expression import (
    Call,
    Cast,
    Constant,
    Expression,
    FieldReference,
    Weight,
    topological,
    transform,
    with_inputs,
)
from columnar_nn.functions.resolve import is_vector_call
from columnar_nn.plan.nodes import FilterNode, ProjectNode
from columnar_nn.plan.plan_node import PlanNode, transform_up


def share_networks(plan: PlanNode) -> PlanNode:
    """The plan with equal expressions of a node, and of a filter below it, shared."""
    return transform_up(plan, _share)


def _share(node: PlanNode) -> PlanNode:
    if not node.expressions:
        return node
    below = node.sources[0]
    if isinstance(below, FilterNode) and not isinstance(node, FilterNode):
        condition, *expressions = shared([below.filter, *node.expressions])
        common = _common_networks([condition], expressions)
        if common:
            return _below_filter(node, below, condition, expressions, common)
    expressions = shared(node.expressions)
    is_smaller = _size(expressions) < _size(node.expressions)
    return node.with_expressions(expressions) if is_smaller else node


def _size(roots: Sequence[Expression]) -> int:
    return sum(1 for _ in topological(roots))


def _below_filter(
    node: PlanNode,
    below: FilterNode,
    condition: Expression,
    expressions: Sequence[Expression],
    common: Sequence[Call],
) -> PlanNode:
    fields = below.source.output_type
    names = _new_names(fields.names, len(common))
    references: list[Expression] = [FieldReference(field.name, field.type) for field in fields]
    computed = ProjectNode(
        f"{below.id}.shared", below.source, (*fields.names, *names), (*references, *common)
    )
    values: dict[int, Expression] = {
        id(call): FieldReference(name, call.type) for name, call in zip(names, common, strict=True)
    }

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        return values.get(id(expression)) or with_inputs(expression, inputs)

    new_condition, *rest = transform([condition, *expressions], change)
    filtered = FilterNode(below.id, computed, new_condition)
    return node.with_sources([filtered, *node.sources[1:]]).with_expressions(rest)


def _new_names(taken: Collection[str], count: int) -> tuple[str, ...]:
    names = (f"shared_{number}" for number in range(len(taken) + count))
    return tuple([name for name in names if name not in taken][:count])


def _common_networks(first: Sequence[Expression], second: Sequence[Expression]) -> list[Call]:
    """The largest calls with weights in them that are in both."""
    ids = {id(e) for e in topological(first)} & {id(e) for e in topological(second)}
    with_weights: set[int] = set()
    for expression in topological(first):
        if isinstance(expression, Weight) or any(id(i) in with_weights for i in expression.inputs):
            with_weights.add(id(expression))
    found: dict[int, Call] = {}
    inner: set[int] = set()
    for expression in reversed(list(topological(first))):
        if id(expression) in inner:
            inner.update(id(source) for source in expression.inputs)
        elif id(expression) in ids & with_weights and is_vector_call(expression):
            found[id(expression)] = expression
            inner.update(id(source) for source in expression.inputs)
    return [found[key] for key in found if key not in inner]


def shared(roots: Sequence[Expression]) -> list[Expression]:
    """The roots, equal expressions being the same object."""
    found: dict[Any, Expression] = {}
    weights: dict[Any, list[Weight]] = {}

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        if isinstance(expression, Weight):
            alike = weights.setdefault((expression.array.shape, expression.array.dtype.str), [])
            for weight in alike:
                if _same(weight.array, expression.array):
                    return weight
            alike.append(expression)
            return expression
        return found.setdefault(_key(expression, inputs), with_inputs(expression, inputs))

    return transform(roots, change)


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether they hold the same bytes, most often in the same place."""
    if left.ctypes.data == right.ctypes.data and left.strides == right.strides:
        return True
    return left.tobytes() == right.tobytes()


def _key(expression: Expression, inputs: tuple[Expression, ...]) -> tuple[Any, ...]:
    ids = tuple(map(id, inputs))
    if isinstance(expression, FieldReference):
        return "field", expression.name
    if isinstance(expression, Constant):
        return "constant", str(expression.type), repr(expression.value)
    if isinstance(expression, Cast):
        return "cast", str(expression.type), ids
    assert isinstance(expression, Call)
    attributes = tuple((name, _plain(v)) for name, v in sorted(expression.attributes.items()))
    return "call", expression.function, ids, attributes


def _plain(value: Any) -> Any:
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)
