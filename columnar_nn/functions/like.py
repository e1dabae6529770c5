"""like: whether a text has the form of a pattern, % for any text in it and _ for any character.

As in Presto, there is no escape character unless one is given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.types import DataType, type_name
from columnar_nn.functions.scalar import ScalarFunction

_TEXTS = (pa.string(), pa.large_string(), pa.null())


def _types(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    if len(types) not in (2, 3) or any(kind not in _TEXTS for kind in types):
        listed = ", ".join(map(type_name, types))
        raise InvalidPlanError(f"function signature is not supported: {name}({listed})")
    return [pa.string()] * len(types), pa.bool_()


def _like(text: Any, pattern: Any, escape: Any = None) -> Any:
    if escape is None:
        escape = pa.scalar("", pa.string())
    if isinstance(pattern, pa.Scalar) and isinstance(escape, pa.Scalar):
        return _matches(text, pattern.as_py(), escape.as_py())
    rows = max(len(side) for side in (text, pattern, escape) if not isinstance(side, pa.Scalar))
    text, pattern, escape = (
        pa.repeat(side, rows) if isinstance(side, pa.Scalar) else side
        for side in (text, pattern, escape)
    )
    result = pa.nulls(rows, pa.bool_())
    forms = pa.table([pattern, escape], ["pattern", "escape"])
    for form in forms.group_by(["pattern", "escape"]).aggregate([]).to_pylist():
        if None not in form.values():
            mine = pc.and_(pc.equal(pattern, form["pattern"]), pc.equal(escape, form["escape"]))
            found = _matches(text, form["pattern"], form["escape"])
            result = pc.if_else(pc.fill_null(mine, False), found, result)
    return result


def _matches(text: Any, pattern: str | None, escape: str | None) -> Any:
    if pattern is None or escape is None:
        null = pa.scalar(None, pa.bool_())
        return null if isinstance(text, pa.Scalar) else pa.repeat(null, len(text))
    return pc.match_substring_regex(text, _regular_expression(pattern, escape))


def _regular_expression(pattern: str, escape: str) -> str:
    """In RE2's syntax; raises pa.ArrowInvalid for an escape that escapes nothing."""
    if len(escape) > 1:
        raise pa.ArrowInvalid("the escape of LIKE is one character")
    parts, rest = [], iter(pattern)
    for character in rest:
        if character == escape:
            escaped = next(rest, "")
            if escaped not in ("%", "_", escape) or not escaped:
                raise pa.ArrowInvalid(f"an escape of LIKE is followed by %, _ or {escape}")
            parts.append(re.escape(escaped))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return rf"(?s)\A{''.join(parts)}\z"


FUNCTIONS = {"like": ScalarFunction(_types, _like)}
