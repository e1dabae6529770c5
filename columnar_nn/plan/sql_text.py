"""SQL text read into sqlglot's trees, in Presto's dialect, and the places in it that errors name.

sqlglot knows thousands of functions, and renames them from one dialect to the other. Here every
function keeps the name under which it was called, so that the engine's own registry alone says
which there are and what they take.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.presto import Presto
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.parsers.presto import PrestoParser
from sqlglot.tokenizer_core import TokenType

from columnar_nn.errors import InvalidPlanError, first_line

SHOWN_CHARACTERS = 32
"""Of the line with an error, on either side of the place."""

_SELECT = "SELECT "


COMMA = ","
"""The kind of a join that is a comma between two tables."""


class _Parser(PrestoParser):
    """Presto's, which leaves functions alone and says where placeholders stand."""

    FUNCTIONS: ClassVar[Any] = {}
    FUNCTION_PARSERS: ClassVar[Any] = {
        name: PrestoParser.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST")
    }
    NO_PAREN_FUNCTIONS: ClassVar[Any] = {}
    NO_PAREN_FUNCTION_PARSERS: ClassVar[Any] = {
        "CASE": PrestoParser.NO_PAREN_FUNCTION_PARSERS["CASE"]
    }
    PLACEHOLDER_PARSERS: ClassVar[Any] = {
        **PrestoParser.PLACEHOLDER_PARSERS,
        TokenType.PLACEHOLDER: lambda self: self.expression(exp.Placeholder(), token=self._prev),
        TokenType.COLON: lambda self: (
            self.expression(exp.Placeholder(this=self._prev.text), token=self._prev)
            if self._match_set(self.COLON_PLACEHOLDER_TOKENS)
            else None
        ),
    }

    def _parse_join(self, *arguments: Any, **options: Any) -> exp.Join | None:
        """A join; one by a comma, which binds less than the others, is of the kind COMMA."""
        is_comma = self._curr is not None and self._curr.token_type == TokenType.COMMA
        join = super()._parse_join(*arguments, **options)
        if join is not None and is_comma:
            join.set("kind", COMMA)
        return join

    def _warn_unsupported(self) -> None:
        """Nothing: what is no query is refused, with its place, by whoever binds it."""


class _Dialect(Presto):
    Parser = _Parser


class PlacedError(InvalidPlanError):
    """An error that tells its place in the text."""


@dataclass(frozen=True)
class SqlText:
    """A text, and the number of characters that the parser was given before it."""

    text: str
    before: int = 0

    def error(self, message: str, place: exp.Expr | int | None = None) -> PlacedError:
        """An error at a part of the tree, or a character of the text, which it shows behind ^."""
        position = place if isinstance(place, int) else self._start(place)
        head = self.text[:position]
        line, column = head.count("\n") + 1, position - head.rfind("\n")
        before = head[head.rfind("\n") + 1 :][-SHOWN_CHARACTERS:]
        after = self.text[position : position + SHOWN_CHARACTERS].partition("\n")[0]
        return PlacedError(
            f"{message} (line {line}, column {column}: {before}^{after})".replace("\r", " ")
        )

    def _start(self, node: exp.Expr | None) -> int:
        """Where a part of the tree begins; where its parent does if it has no words of its own."""
        while node is not None:
            starts: list[int] = [n.meta["start"] for n in node.walk() if "start" in n.meta]
            if starts:
                return max(0, min(min(starts) - self.before, len(self.text)))
            node = node.parent
        return 0

    def statements(self) -> list[exp.Expr]:
        """The trees of its statements; raises InvalidPlanError where it stops making sense."""
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise self.error("cannot parse SQL: this is no character", error.start) from None
        try:
            parsed = _Dialect().parse(_SELECT[: self.before] + self.text)
        except ParseError as error:
            raise self._parse_error(error) from None
        except TokenError as error:
            match = re.search(r"from \d+:(\d+)$", str(error.__cause__))
            start = int(match[1]) - self.before if match else 0
            raise self.error(
                "cannot parse SQL: a quotation, a comment or a number does not end", max(0, start)
            ) from None
        except RecursionError:
            raise InvalidPlanError(
                "cannot parse SQL: it is nested too deeply; take it apart"
            ) from None
        except (SqlglotError, ValueError, AttributeError, TypeError, IndexError, KeyError) as error:
            # what its parser runs into on text that is far from any SQL
            raise InvalidPlanError(f"cannot parse SQL: {first_line(error)}") from None
        return [tree for tree in parsed if tree is not None]

    def _parse_error(self, error: ParseError) -> PlacedError:
        found = error.errors[0]
        word = found["highlight"] or ""
        lines = (_SELECT[: self.before] + self.text).splitlines(keepends=True)
        end = sum(map(len, lines[: found["line"] - 1])) + found["col"] - self.before
        start = max(0, min(end - len(word), len(self.text)))
        description = str(found["description"])
        if start + len(word) >= len(self.text.rstrip()) and not description.startswith("Invalid"):
            return self.error("cannot parse SQL: it ends too early", len(self.text.rstrip()))
        if match := re.fullmatch(r"Expecting (.+)", description):
            return self.error(f"cannot parse SQL: expected {match[1]}", start)
        if description.startswith("Required keyword"):
            return self.error(f"cannot parse SQL: something is missing at {word!r}", start)
        return self.error(f"cannot parse SQL: unexpected {word!r}", start)


def parse_query(text: str) -> tuple[SqlText, exp.Expr]:
    """The one statement of a text, which a semicolon may end; raises InvalidPlanError."""
    if not isinstance(text, str):
        raise InvalidPlanError(f"a query is a text, not {type(text).__name__}")
    source = SqlText(text)
    trees = source.statements()
    if not trees:
        raise InvalidPlanError("the SQL text is empty: write SELECT ... FROM ...")
    if len(trees) > 1:
        raise source.error("one query at a time: this is a second one", trees[1])
    return source, trees[0]


def parse_item(text: str) -> tuple[SqlText, exp.Expr, str | None]:
    """The tree of "expression [AS alias]", and its alias; raises InvalidPlanError."""
    source = SqlText(text, len(_SELECT))
    trees = source.statements()
    tree = trees[0] if trees else None
    if len(trees) != 1 or not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
        raise source.error("cannot parse SQL: expected one expression", 0)
    for extra in given(tree, "expressions"):
        raise source.error("cannot parse SQL: expected one expression, and found more", extra)
    (item,) = tree.expressions
    if isinstance(item, exp.Alias):
        return source, item.this, item.alias
    return source, item, None


def given(node: exp.Expr, *known: str) -> Iterator[exp.Expr]:
    """What a part of the tree holds besides the `known` parts: as many reasons to refuse it."""
    for name, value in node.args.items():
        if value and name not in known:
            part = value[0] if isinstance(value, list) else value
            yield part if isinstance(part, exp.Expr) else node
