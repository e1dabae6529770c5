"""Expressions of plan nodes: a directed acyclic graph of calls over columns.

An expression is made without types; `columnar_nn/functions/resolve.py` fills them in. Expressions
are compared by identity: one that is used twice is one vertex, and is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from columnar_nn.expressions.types import DataType, type_name
from columnar_nn.record import Record
from columnar_nn.shown import line

NO_ATTRIBUTES: Mapping[str, Any] = {}


class FieldReference(Record):
    """A column of the input (Velox FieldAccessTypedExpr); `type` is None until resolved."""

    name: str
    type: DataType = None

    inputs: ClassVar[tuple[Expression, ...]] = ()

    def __repr__(self) -> str:
        return line("column", self.name)


class Constant(Record):
    """The same scalar in every row (Velox ConstantTypedExpr); `value` None is a null."""

    value: bool | int | float | str | None
    type: DataType = None

    inputs: ClassVar[tuple[Expression, ...]] = ()

    def __post_init__(self) -> None:
        if self.type is None:
            object.__setattr__(self, "type", pa.scalar(self.value).type)

    def __repr__(self) -> str:
        return line("constant", repr(self.value))


class Weight(Record):
    """A constant tensor that belongs to a vector function, such as the filters of conv2d."""

    name: str
    array: np.ndarray

    inputs: ClassVar[tuple[Expression, ...]] = ()

    @property
    def type(self) -> DataType:
        """A list type: a weight is one tensor, not a column of tensors."""
        return pa.list_(pa.from_numpy_dtype(self.array.dtype))

    def __repr__(self) -> str:
        return line("weight", f"{self.name} {self.array.dtype} {list(self.array.shape)}")


class Cast(Record):
    """Conversion of a scalar column to another type (Velox CastTypedExpr)."""

    input: Expression
    type: DataType

    @property
    def inputs(self) -> tuple[Expression, ...]:
        """The converted expression."""
        return (self.input,)

    def __repr__(self) -> str:
        return line("cast", f"as {type_name(self.type)}")


class Call(Record):
    """A function applied to expressions (Velox CallTypedExpr); `type` is None until resolved.

    `attributes` are those of a vector function, under their ONNX names; `nodes` the names of
    the graph's nodes that the call computes, from which statistics are matched between engines.
    """

    function: str
    inputs: tuple[Expression, ...]
    attributes: Mapping[str, Any] = NO_ATTRIBUTES
    nodes: tuple[str, ...] = ()
    type: DataType = None

    @property
    def tensors(self) -> tuple[Expression, ...]:
        """The inputs that are computed, in order."""
        return tuple(e for e in self.inputs if not isinstance(e, Weight))

    @property
    def weights(self) -> tuple[np.ndarray, ...]:
        """The arrays of the inputs that are weights, in order."""
        return tuple(e.array for e in self.inputs if isinstance(e, Weight))

    @property
    def label(self) -> str:
        """Name for reports: the graph's nodes, or the function where there are none."""
        return "+".join(self.nodes) if self.nodes else self.function

    def __repr__(self) -> str:
        known = "" if self.type is None else f" -> {type_name(self.type)}"
        return line("call", f"{self.function}({', '.join(map(_brief, self.inputs))}){known}")


Expression = FieldReference | Constant | Weight | Cast | Call

DISTINCT = "distinct"
"""The attribute of an aggregate's call that is true if each value counts once."""


def _brief(expression: Expression) -> str:
    """An argument as its call's repr names it: of a call no more than the function."""
    if isinstance(expression, Call):
        return f"{expression.function}(...)"
    return "cast(...)" if isinstance(expression, Cast) else repr(expression)[1:-1]


def column(name: str) -> FieldReference:
    """The column called `name`."""
    return FieldReference(name)


def call(function: str, *inputs: Expression | str, **attributes: Any) -> Call:
    """A vector or scalar function of expressions, or of columns by name."""
    arguments = tuple(column(i) if isinstance(i, str) else i for i in inputs)
    return Call(function, arguments, attributes)


def argmax(features: Expression | str) -> Call:
    """Index of the greatest feature of each row, BIGINT."""
    return call("argmax", features)


def softmax(features: Expression | str) -> Call:
    """Probabilities from the features (logits) of each row."""
    return call("softmax", features)


def topological(roots: Iterable[Expression]) -> Iterator[Expression]:
    """Every expression under `roots` once, inputs first; iterative, however deep the network."""
    done: set[int] = set()
    stack: list[tuple[Expression, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        expression, expanded = stack.pop()
        if id(expression) in done:
            continue
        if expanded:
            done.add(id(expression))
            yield expression
        else:
            stack.append((expression, True))
            stack.extend((source, False) for source in reversed(expression.inputs))


def transform(
    roots: Sequence[Expression],
    change: Callable[[Expression, tuple[Expression, ...]], Expression],
) -> list[Expression]:
    """The roots with each expression replaced by `change(expression, its changed inputs)`.

    Sharing is kept: each expression is changed once.
    """
    changed: dict[int, Expression] = {}
    for expression in topological(roots):
        changed[id(expression)] = change(
            expression, tuple(changed[id(source)] for source in expression.inputs)
        )
    return [changed[id(root)] for root in roots]


def with_inputs(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
    """The expression over other inputs; the same object if they are the same objects."""
    if all(a is b for a, b in zip(expression.inputs, inputs, strict=True)):
        return expression
    if isinstance(expression, Cast):
        return Cast(inputs[0], expression.type)
    assert isinstance(expression, Call)
    return Call(
        expression.function, inputs, expression.attributes, expression.nodes, expression.type
    )
