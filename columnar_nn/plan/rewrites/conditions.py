"""Conditions taken apart and moved: what a rule may do with one without changing the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import pyarrow as pa

from columnar_nn.expressions.expression import (
    Call,
    Cast,
    Expression,
    FieldReference,
    topological,
    transform,
    with_inputs,
)
from columnar_nn.expressions.types import DataType
from columnar_nn.functions.resolve import is_vector_call

_TOTAL = frozenset(
    ("eq", "neq", "lt", "lte", "gt", "gte", "between", "and", "or", "not", "is_null")
)
"""Scalar functions that give a value, or null, for all arguments."""


def conjuncts(condition: Expression) -> list[Expression]:
    """Conditions that are all true where this one is."""
    if isinstance(condition, Call) and condition.function == "and":
        return [part for source in condition.inputs for part in conjuncts(source)]
    return [condition]


def conjunction(conditions: Sequence[Expression]) -> Expression:
    """A condition that is true where all of these are; one of them at least."""
    return reduce(lambda a, b: Call("and", (a, b), type=pa.bool_()), conditions)


def calls_kernels(expression: Expression) -> bool:
    """Whether a vector function is in it: a network, or a part of one."""
    return any(map(is_vector_call, topological([expression])))


def cannot_fail(condition: Expression) -> bool:
    """Whether it has a value in every row there may be, and so may be asked of more rows."""
    return all(
        not isinstance(e, Call | Cast)
        or (isinstance(e, Call) and e.function in _TOTAL)
        or (isinstance(e, Cast) and widens(e.input.type, e.type))
        for e in topological([condition])
    )


def widens(source: DataType, target: DataType) -> bool:
    """Whether a cast fails for no value: of numbers to a type that is no narrower."""
    if source == pa.null() or source == target:
        return True
    kinds = pa.types
    if kinds.is_signed_integer(source) and kinds.is_signed_integer(target):
        return bool(source.bit_width <= target.bit_width)
    if kinds.is_unsigned_integer(source) and kinds.is_signed_integer(target):
        return bool(source.bit_width < target.bit_width)
    is_number = kinds.is_integer(source) or kinds.is_floating(source)
    return bool(is_number and target == pa.float64())


def replaced(
    expressions: Sequence[Expression], values: Mapping[str, Expression]
) -> list[Expression]:
    """The expressions with columns replaced by what they are made of."""

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        if isinstance(expression, FieldReference):
            return values[expression.name]
        return with_inputs(expression, inputs)

    return transform(expressions, change)
