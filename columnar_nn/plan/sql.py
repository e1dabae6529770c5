"""The expressions of filters, projections and aggregations as text, in the SQL that Velox reads.

    or      := and {OR and}                 and     := not {AND not}
    not     := NOT not | predicate
    predicate := sum [(= | <> | != | < | <= | > | >=) sum | IS [NOT] NULL
                     | [NOT] BETWEEN sum AND sum]
    sum     := product {(+ | -) product}    product := unary {(* | / | %) unary}
    unary   := - number | primary
    primary := number | 'text' | TRUE | FALSE | NULL | ( or ) | CAST(or AS type)
             | name | name([or {, or}])

Integers are BIGINT and decimal numbers DOUBLE, as in Velox.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import Call, Cast, Constant, Expression, FieldReference

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<text>'(?:[^']|'')*')"
    r'|(?P<quoted>"[^"]+")'
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<symbol><>|!=|<=|>=|[-+*/%()=<>,]))"
)

_COMPARISONS = {
    "=": "eq",
    "<>": "neq",
    "!=": "neq",
    "<": "lt",
    "<=": "lte",
    ">": "gt",
    ">=": "gte",
}
_SUMS = {"+": "plus", "-": "minus"}
_PRODUCTS = {"*": "multiply", "/": "divide", "%": "mod"}
_LITERALS = {"true": True, "false": False, "null": None}

SQL_TYPES = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


@dataclass(frozen=True)
class Token:
    """A piece of the text; `kind` is number, text, quoted, word, symbol or end."""

    kind: str
    value: str
    position: int


def parse(text: str) -> tuple[Expression, str | None]:
    """(expression, alias or None) of "expression [AS alias]"; the expression has no types yet.

    Raises InvalidPlanError with the text and the place where it stops making sense.
    """
    parser = _Parser(text)
    expression = parser.disjunction()
    alias = None
    if parser.accept_word("as"):
        alias = parser.name()
    parser.expect_end()
    return expression, alias


def _tokens(text: str) -> list[Token]:
    tokens, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidPlanError(
                f"cannot parse expression: {text} (at {text[position:].strip()!r})"
            )
        kind = match.lastgroup or ""
        tokens.append(Token(kind, match.group(kind), match.start(kind)))
        position = match.end()
    return [*tokens, Token("end", "", len(text))]


class _Parser:
    """Recursive descent over the grammar above; each method reads what it is named after."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _error(self) -> InvalidPlanError:
        rest = self._text[self._peek().position :]
        where = f"at {rest!r}" if rest else "it ends too early"
        return InvalidPlanError(f"cannot parse expression: {self._text} ({where})")

    def accept_word(self, word: str) -> bool:
        """Takes the keyword if it is next."""
        token = self._peek()
        if token.kind == "word" and token.value.lower() == word:
            self._next += 1
            return True
        return False

    def _accept_symbol(self, *symbols: str) -> str | None:
        token = self._peek()
        if token.kind == "symbol" and token.value in symbols:
            self._next += 1
            return token.value
        return None

    def _expect(self, symbol: str) -> None:
        if self._accept_symbol(symbol) is None:
            raise self._error()

    def expect_end(self) -> None:
        """Raises InvalidPlanError unless everything has been read."""
        if self._peek().kind != "end":
            raise self._error()

    def name(self) -> str:
        """An identifier; quoted ones keep any character."""
        token = self._peek()
        if token.kind not in ("word", "quoted"):
            raise self._error()
        return self._take().value.strip('"')

    def disjunction(self) -> Expression:
        left = self._conjunction()
        while self.accept_word("or"):
            left = Call("or", (left, self._conjunction()))
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self.accept_word("and"):
            left = Call("and", (left, self._negation()))
        return left

    def _negation(self) -> Expression:
        if self.accept_word("not"):
            return Call("not", (self._negation(),))
        return self._predicate()

    def _predicate(self) -> Expression:
        left = self._sum()
        comparison = self._accept_symbol(*_COMPARISONS)
        if comparison is not None:
            return Call(_COMPARISONS[comparison], (left, self._sum()))
        if self.accept_word("is"):
            negated = self.accept_word("not")
            if not self.accept_word("null"):
                raise self._error()
            return _negated(Call("is_null", (left,)), negated)
        negated = self.accept_word("not")
        if self.accept_word("between"):
            low = self._sum()
            if not self.accept_word("and"):
                raise self._error()
            return _negated(Call("between", (left, low, self._sum())), negated)
        if negated:
            raise self._error()
        return left

    def _sum(self) -> Expression:
        left = self._product()
        while (symbol := self._accept_symbol(*_SUMS)) is not None:
            left = Call(_SUMS[symbol], (left, self._product()))
        return left

    def _product(self) -> Expression:
        left = self._unary()
        while (symbol := self._accept_symbol(*_PRODUCTS)) is not None:
            left = Call(_PRODUCTS[symbol], (left, self._unary()))
        return left

    def _unary(self) -> Expression:
        if self._accept_symbol("-") is None:
            return self._primary()
        if self._peek().kind != "number":
            raise self._error()
        return Constant(-_number(self._take().value))

    def _primary(self) -> Expression:
        token = self._peek()
        if token.kind == "number":
            return Constant(_number(self._take().value))
        if token.kind == "text":
            return Constant(self._take().value[1:-1].replace("''", "'"))
        if self._accept_symbol("(") is not None:
            inside = self.disjunction()
            self._expect(")")
            return inside
        if token.kind == "word" and token.value.lower() in _LITERALS:
            return Constant(_LITERALS[self._take().value.lower()])
        name = self.name()
        if token.kind == "word" and self._accept_symbol("(") is not None:
            return self._cast() if name.lower() == "cast" else self._call(name.lower())
        return FieldReference(name)

    def _cast(self) -> Expression:
        inside = self.disjunction()
        if not self.accept_word("as"):
            raise self._error()
        target = SQL_TYPES.get(self._peek().value.lower())
        if target is None:
            raise self._error()
        self._take()
        self._expect(")")
        return Cast(inside, target)

    def _call(self, name: str) -> Expression:
        arguments: list[Expression] = []
        if self._accept_symbol(")") is not None:
            return Call(name, ())
        while True:
            arguments.append(self.disjunction())
            if self._accept_symbol(",") is None:
                break
        self._expect(")")
        return Call(name, tuple(arguments))


def _negated(call: Call, negated: bool) -> Call:
    return Call("not", (call,)) if negated else call


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)
