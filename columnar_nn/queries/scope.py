"""Expressions of a query over the columns that it reads, with types and errors in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlglot import exp

from columnar_nn.errors import CnnBenchError, InvalidPlanError
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
from columnar_nn.expressions.types import DataType
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.resolve import resolve
from columnar_nn.functions.scalar_registry import SCALAR_FUNCTIONS
from columnar_nn.plan.aggregation import AGGREGATES
from columnar_nn.plan.sql_expression import ExpressionReader
from columnar_nn.plan.sql_text import PlacedError
from columnar_nn.queries.context import Column, Context, Relation, suggestion


class Scope:
    """Reads expressions over a relation's columns. Equal ones are one object, computed once.

    `outer` are columns of the same plan that belong to the query around: those of the relation
    hide them.
    """

    def __init__(self, context: Context, relation: Relation, outer: Sequence[Column] = ()) -> None:
        self.context = context
        self.relation = relation
        self._outer = outer
        self._schema = relation.builder.plan().output_type
        self._known: dict[tuple[Any, ...], Expression] = {}
        self._reader = ExpressionReader(
            context.source,
            self._column,
            dict.fromkeys(context.networks.names, self._network),
            context.parameters,
        )

    def read(self, tree: exp.Expr) -> Expression:
        """The expression of a tree, without types yet; aggregates are calls like others."""
        return self._reader.read(tree)

    def scalar(self, tree: exp.Expr, where: str) -> Expression:
        """The typed expression of a tree in which there may be no aggregate."""
        expression = self.read(tree)
        for part in topological([expression]):
            if is_aggregate(part):
                raise self.error(f"{where} cannot hold an aggregate", part)
        return self.typed(expression)

    def condition(self, tree: exp.Expr, where: str) -> Expression:
        """Likewise, of type BOOLEAN."""
        expression = self.scalar(tree, where)
        if expression.type not in (pa.bool_(), pa.null()):
            raise self.context.source.error(f"{where} is no condition, but {expression.type}", tree)
        return expression if expression.type == pa.bool_() else Cast(expression, pa.bool_())

    def typed(self, expression: Expression) -> Expression:
        """The expression with types; the same object for each equal one."""
        try:
            (resolved,) = resolve([expression], self._schema, widen=True)
        except CnnBenchError:
            raise self._innermost(expression) from None
        return self._shared(resolved)

    def error(self, message: str, expression: Expression) -> InvalidPlanError:
        """An error at the place of an expression that was read here."""
        _, tree = self._reader.places.get(id(expression), (None, None))
        return self.context.source.error(message, tree)

    def _innermost(self, expression: Expression) -> InvalidPlanError:
        """The error of the smallest part that has one, at its place."""
        tree = self._reader.places.get(id(expression), (None, None))[1]
        for part in topological([expression]):
            tree = self._reader.places.get(id(part), (None, tree))[1]
            try:
                resolve([part], self._schema, widen=True)
            except CnnBenchError as error:
                message = str(error)
                if isinstance(part, Call) and not self._is_function(part.function):
                    known = [*SCALAR_FUNCTIONS, *AGGREGATES, *self.context.networks.names]
                    known += VECTOR_FUNCTIONS
                    message = f"no function {part.function}: {suggestion(part.function, known)}"
                return self.context.source.error(message, tree)
        raise AssertionError("an expression fails, and no part of it does")

    @staticmethod
    def _is_function(name: str) -> bool:
        return name in SCALAR_FUNCTIONS or name in VECTOR_FUNCTIONS or name in AGGREGATES

    def _column(self, tree: exp.Column) -> Expression:
        self.context.refuse_others(tree, "a column", "this", "table")
        return FieldReference(self.column(tree.name, tree.table, tree).field)

    def column(self, name: str, table: str, tree: exp.Expr) -> Column:
        """The column that a name means, whatever its case; raises InvalidPlanError."""
        known = self.relation.columns
        found = _named(known, name, table)
        if not found and self._outer:
            known = (*known, *self._outer)
            found = _named(self._outer, name, table)
        if len(found) > 1:
            found = [c for c in found if c.name == name] or found
        if len(found) == 1:
            return found[0]
        if found:
            listed = " or ".join(f"{c.table}.{c.name}" for c in found)
            raise self.context.source.error(f"{name} may be {listed}: say which", tree)
        mine = [c for c in known if table.lower() in ("", c.table.lower())]
        if table and not mine:
            tables = dict.fromkeys(c.table for c in known if c.table)
            raise self.context.source.error(
                f"no table {table} in FROM: {suggestion(table, tables)}", tree
            )
        text = suggestion(name, (c.name for c in mine))
        raise self.context.source.error(f"no column {name}: {text}", tree)

    def _network(
        self, tree: exp.Expr, inputs: Sequence[Expression], attributes: Mapping[str, Any]
    ) -> Expression:
        try:
            return self.context.networks.call(tree.name.lower(), inputs, attributes, self.typed)
        except PlacedError:
            raise
        except CnnBenchError as error:
            raise self.context.source.error(str(error), tree) from None

    def _shared(self, expression: Expression) -> Expression:
        (result,) = transform([expression], self._one)
        return result

    def _one(self, expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        place = self._reader.places.get(id(expression))
        shared = self._known.setdefault(_key(expression, inputs), with_inputs(expression, inputs))
        if place is not None:
            self._reader.places.setdefault(id(shared), (shared, place[1]))
        return shared


def _named(columns: Sequence[Column], name: str, table: str) -> list[Column]:
    """Those of that name, of that table if it is given, whatever the case."""
    mine = [c for c in columns if table.lower() in ("", c.table.lower())]
    return [c for c in mine if c.name.lower() == name.lower()]


def is_aggregate(expression: Expression) -> bool:
    """Whether it is a call of an aggregate function."""
    return isinstance(expression, Call) and expression.function in AGGREGATES


def widened(first: DataType, second: DataType) -> DataType | None:
    """The type that both are converted to where rows of both come together; None if there is none.

    Found as that of a comparison's sides.
    """
    columns = pa.schema([("a", first), ("b", second)])
    try:
        (call,) = resolve(
            [Call("eq", (FieldReference("a"), FieldReference("b")))], columns, widen=True
        )
    except InvalidPlanError:
        return None
    return call.inputs[0].type


def _key(expression: Expression, inputs: tuple[Expression, ...]) -> tuple[Any, ...]:
    """What two expressions share that give the same values."""
    below = tuple(map(id, inputs))
    if isinstance(expression, FieldReference):
        return "column", expression.name
    if isinstance(expression, Constant):
        value = repr(expression.value)  # 0.0 is not -0.0, nor True 1
        return "constant", value, str(expression.type)
    if isinstance(expression, Weight):
        return "weight", id(expression.array)
    if isinstance(expression, Cast):
        return "cast", str(expression.type), below
    attributes = tuple((name, repr(value)) for name, value in expression.attributes.items())
    return "call", expression.function, below, attributes, expression.nodes
