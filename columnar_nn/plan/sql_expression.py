"""Expressions out of sqlglot's trees: what the text of filters, projections and queries means.

Operators are functions by Velox's names: a + b is plus(a, b), CASE is if or switch. Integers are
BIGINT and decimal numbers DOUBLE, as Velox reads them.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlglot import exp

from columnar_nn.expressions.expression import (
    DISTINCT,
    Call,
    Cast,
    Constant,
    Expression,
    FieldReference,
)
from columnar_nn.functions.declared import DECLARED
from columnar_nn.plan.sql_text import SqlText, given, parse_item

Parameters = Sequence[Any] | Mapping[str, Any]
"""Values of the placeholders ?, in order, or of :name."""

Function = Callable[[exp.Expr, Sequence[Expression], Mapping[str, Any]], Expression]
"""What a call means, of its place, its arguments and its attributes by name."""

_OPERATORS: dict[type, str] = {
    exp.Add: "plus",
    exp.Sub: "minus",
    exp.Mul: "multiply",
    exp.Div: "divide",
    exp.Mod: "mod",
    exp.EQ: "eq",
    exp.NEQ: "neq",
    exp.LT: "lt",
    exp.LTE: "lte",
    exp.GT: "gt",
    exp.GTE: "gte",
    exp.And: "and",
    exp.Or: "or",
    exp.NullSafeNEQ: "distinct_from",
}

TYPES = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}
"""What CAST converts to, under sqlglot's names."""

_NAMES = "boolean, tinyint, smallint, integer, bigint, real, double, varchar, date, timestamp"


def parse_expression(text: str) -> tuple[Expression, str | None]:
    """(expression, alias or None) of "expression [AS alias]"; the expression has no types yet.

    Raises InvalidPlanError with the text and the place where it stops making sense.
    """
    source, tree, alias = parse_item(text)
    return ExpressionReader(source).read(tree), alias


class ExpressionReader:
    """Makes expressions of the trees of one text.

    `column` says what a column is, and `functions` what calls of other than the engine's own
    functions are, by name in lower case. `places` has the tree of every expression made, by id.
    """

    def __init__(
        self,
        source: SqlText,
        column: Callable[[exp.Column], Expression] | None = None,
        functions: Mapping[str, Function] | None = None,
        parameters: Parameters = (),
    ) -> None:
        self.source = source
        self.places: dict[int, tuple[Expression, exp.Expr]] = {}
        self._column = column or self._plain_column
        self._functions = functions or {}
        self._parameters = parameters

    def read(self, tree: exp.Expr) -> Expression:
        """The expression of a tree, without types; raises InvalidPlanError with the place."""
        try:
            return self._read(tree)
        except RecursionError:
            raise self.source.error("nested too deeply: take it apart", tree) from None

    def _read(self, tree: exp.Expr) -> Expression:
        chain = []  # a + b + c ... may be as long as it likes
        while type(tree) in _OPERATORS:
            chain.append(tree)
            tree = tree.this
        expression = self._one(tree)
        self.places[id(expression)] = expression, tree
        for tree in reversed(chain):
            self._nothing_else(tree, "this", "expression", "typed", "safe")
            inputs = (expression, self._read(tree.expression))
            expression = Call(_OPERATORS[type(tree)], inputs)
            self.places[id(expression)] = expression, tree
        return expression

    def _one(self, tree: exp.Expr) -> Expression:
        read = _READERS.get(type(tree))
        if read is None:
            word = type(tree).__name__.upper()
            raise self.source.error(f"{word} is not supported in an expression", tree)
        return read(self, tree)

    def _nothing_else(self, tree: exp.Expr, *known: str) -> None:
        for extra in given(tree, *known):
            raise self.source.error("this part of an expression is not supported", extra)

    def _plain_column(self, tree: exp.Column) -> Expression:
        self._nothing_else(tree, "this")
        return FieldReference(tree.name)

    def _read_column(self, tree: exp.Expr) -> Expression:
        assert isinstance(tree, exp.Column)
        if isinstance(tree.this, exp.Star):
            raise self.source.error("* stands for columns in a list of SELECT only", tree)
        return self._column(tree)

    def _parenthesised(self, tree: exp.Expr) -> Expression:
        return self._read(tree.this)

    def _literal(self, tree: exp.Expr) -> Expression:
        return Constant(tree.this) if tree.args["is_string"] else self._number(tree, tree.this)

    def _number(self, tree: exp.Expr, text: str) -> Constant:
        try:
            value = int(text) if text.lstrip("-").isdigit() else float(text)
            if not math.isfinite(value):
                raise OverflowError
            return Constant(value)
        except (ValueError, OverflowError):
            raise self.source.error(f"{text[:40]} is no number of 64 bits", tree) from None

    def _null(self, tree: exp.Expr) -> Expression:
        return Constant(None)

    def _boolean(self, tree: exp.Expr) -> Expression:
        return Constant(bool(tree.this))

    def _negative(self, tree: exp.Expr) -> Expression:
        if isinstance(tree.this, exp.Literal) and not tree.this.args["is_string"]:
            return self._number(tree.this, f"-{tree.this.this}")
        return Call("negate", (self._read(tree.this),))

    def _not(self, tree: exp.Expr) -> Expression:
        return Call("not", (self._read(tree.this),))

    def _not_distinct(self, tree: exp.Expr) -> Expression:
        inputs = (self._read(tree.this), self._read(tree.expression))
        return Call("not", (Call("distinct_from", inputs),))

    def _negated(self, tree: exp.Expr, call: Expression) -> Expression:
        return Call("not", (call,)) if tree.args.get("negate") else call

    def _is(self, tree: exp.Expr) -> Expression:
        if not isinstance(tree.expression, exp.Null):
            raise self.source.error("IS takes NULL or NOT NULL", tree.expression)
        self._nothing_else(tree, "this", "expression", "negate")
        return self._negated(tree, Call("is_null", (self._read(tree.this),)))

    def _between(self, tree: exp.Expr) -> Expression:
        self._nothing_else(tree, "this", "low", "high", "negate")
        parts = (tree.this, tree.args["low"], tree.args["high"])
        return self._negated(tree, Call("between", tuple(map(self._read, parts))))

    def _in(self, tree: exp.Expr) -> Expression:
        for extra in given(tree, "this", "expressions", "negate"):
            raise self.source.error("IN takes a list of values, not a query: join it", extra)
        inputs = (tree.this, *tree.expressions)
        return self._negated(tree, Call("in", tuple(map(self._read, inputs))))

    def _like(self, tree: exp.Expr) -> Expression:
        self._nothing_else(tree, "this", "expression", "negate")
        inputs = (self._read(tree.this), self._read(tree.expression))
        return self._negated(tree, Call("like", inputs))

    def _escape(self, tree: exp.Expr) -> Expression:
        like = tree.this
        if not isinstance(like, exp.Like):
            raise self.source.error("ESCAPE belongs to LIKE", tree)
        parts = (like.this, like.expression, tree.expression)
        return self._negated(like, Call("like", tuple(map(self._read, parts))))

    def _case(self, tree: exp.Expr) -> Expression:
        self._nothing_else(tree, "this", "ifs", "default")
        compared = None if tree.this is None else self._read(tree.this)
        inputs = []
        for branch in tree.args["ifs"]:
            condition = self._read(branch.this)
            if compared is not None:
                condition = Call("eq", (compared, condition))
            inputs += [condition, self._read(branch.args["true"])]
        if (default := tree.args.get("default")) is not None:
            inputs.append(self._read(default))
        return Call("if" if len(tree.args["ifs"]) == 1 else "switch", tuple(inputs))

    def _cast(self, tree: exp.Expr) -> Expression:
        wanted = tree.args["to"]
        name = getattr(wanted.this, "name", "")
        if name not in TYPES or wanted.expressions:
            raise self.source.error(f"no such cast: cast converts to {_NAMES}", tree)
        cast = Cast(self._read(tree.this), TYPES[name])
        return Call("try", (cast,)) if isinstance(tree, exp.TryCast) else cast

    def _placeholder(self, tree: exp.Expr) -> Expression:
        values = self._parameters
        if tree.this:
            key: Any = tree.this
            known = isinstance(values, Mapping) and key in values
        else:
            root = tree.root()
            starts = sorted(p.meta["start"] for p in root.find_all(exp.Placeholder) if not p.this)
            key = starts.index(tree.meta["start"])
            known = not isinstance(values, Mapping) and key < len(values)
        if not known:
            name = f":{tree.this}" if tree.this else f"number {key + 1}"
            raise self.source.error(f"no value is given for parameter {name}", tree)
        value: Any = values[key]  # type: ignore[call-overload]
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return Cast(Constant(value.isoformat()), pa.date32())
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise self.source.error(
                f"a parameter is {type(value).__name__}: give a number, text, date or None", tree
            )
        try:
            pa.scalar(value)
            return Constant(value)
        except OverflowError:
            raise self.source.error(f"{value} is no number of 64 bits", tree) from None
        except UnicodeEncodeError:
            raise self.source.error("a parameter holds what is no character", tree) from None

    def _call(self, tree: exp.Expr) -> Expression:
        self._nothing_else(tree, "this", "expressions")
        name = tree.name.lower()
        inputs: list[Expression] = []
        attributes: dict[str, Any] = {}
        for argument in tree.expressions:
            if isinstance(argument, (exp.Kwarg, exp.PropertyEQ)):
                key = argument.this.name
                if key in attributes:
                    raise self.source.error(f"{key} is given twice", argument)
                attributes[key] = self._attribute(argument.expression)
                if name in DECLARED and key not in DECLARED[name].attributes:
                    known = ", ".join(DECLARED[name].attributes) or "none"
                    message = f"{name} has no attribute {key}: it has {known}"
                    raise self.source.error(message, argument)
            elif isinstance(argument, exp.Star) and name == "count" and len(tree.expressions) == 1:
                continue
            elif isinstance(argument, exp.Distinct):
                self._nothing_else(argument, "expressions")
                inputs += map(self._read, argument.expressions)
                attributes[DISTINCT] = True
            else:
                inputs.append(self._read(argument))
        if name in self._functions:
            return self._functions[name](tree, inputs, attributes)
        if name == "nullif" and len(inputs) == 2 and not attributes:
            value, other = inputs
            return Call("if", (Call("eq", (value, other)), Constant(None), value))
        return Call(name, tuple(inputs), attributes)

    def _attribute(self, tree: exp.Expr) -> Any:
        """A number, text, truth or an array of them, which is part of what a call computes."""
        if isinstance(tree, exp.Array):
            return tuple(self._attribute(item) for item in tree.expressions)
        value = self._read(tree)
        if not isinstance(value, Constant):
            raise self.source.error("an attribute is a number, text or array of them", tree)
        return value.value


_READERS: dict[type, Callable[[ExpressionReader, exp.Expr], Expression]] = {
    exp.Column: ExpressionReader._read_column,
    exp.Paren: ExpressionReader._parenthesised,
    exp.Literal: ExpressionReader._literal,
    exp.Null: ExpressionReader._null,
    exp.Boolean: ExpressionReader._boolean,
    exp.Neg: ExpressionReader._negative,
    exp.Not: ExpressionReader._not,
    exp.NullSafeEQ: ExpressionReader._not_distinct,
    exp.Is: ExpressionReader._is,
    exp.Between: ExpressionReader._between,
    exp.In: ExpressionReader._in,
    exp.Like: ExpressionReader._like,
    exp.Escape: ExpressionReader._escape,
    exp.Case: ExpressionReader._case,
    exp.Cast: ExpressionReader._cast,
    exp.TryCast: ExpressionReader._cast,
    exp.Placeholder: ExpressionReader._placeholder,
    exp.Anonymous: ExpressionReader._call,
}
