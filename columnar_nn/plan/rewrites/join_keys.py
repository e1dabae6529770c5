"""Keys in a join's condition: equalities of an expression of left rows and one of right rows.

l.a = r.b + 1 and l.c < r.d  ->  keys (l.a, r.b + 1), and l.c < r.d
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from columnar_nn.expressions.expression import (
    Call,
    Cast,
    Expression,
    FieldReference,
    topological,
)
from columnar_nn.expressions.types import is_key_type
from columnar_nn.plan.rewrites.conditions import widens


class JoinKeys(NamedTuple):
    """Expressions of the left rows, as many of the right rows, and conditions of pairs besides."""

    left: tuple[Expression, ...]
    right: tuple[Expression, ...]
    rest: tuple[Expression, ...]


def join_keys(
    conditions: Sequence[Expression], left: Collection[str], right: Collection[str]
) -> JoinKeys:
    """What is a key among typed conditions over columns named `left` and `right`.

    A key is computed of all rows of its side, a condition of pairs that pass the others: one with a
    division, a modulus or a cast that may fail is a key only if there is no other to guard it.
    """
    pairs: list[tuple[Expression, Expression]] = []
    rest: list[Expression] = []
    for condition in conditions:
        pair = _pair(condition, left, right)
        if pair is None or (len(conditions) > 1 and _asks_for_a_guard(condition)):
            rest.append(condition)
        else:
            pairs.append(pair)
    return JoinKeys(tuple(a for a, _ in pairs), tuple(b for _, b in pairs), tuple(rest))


def _asks_for_a_guard(condition: Expression) -> bool:
    return any(
        (isinstance(e, Call) and e.function in ("divide", "mod"))
        or (isinstance(e, Cast) and not widens(e.input.type, e.type))
        for e in topological([condition])
    )


def _pair(
    condition: Expression, left: Collection[str], right: Collection[str]
) -> tuple[Expression, Expression] | None:
    if not (isinstance(condition, Call) and condition.function == "eq"):
        return None
    a, b = condition.inputs
    read = [{e.name for e in topological([s]) if isinstance(e, FieldReference)} for s in (a, b)]
    if not all(read) or not is_key_type(a.type):
        return None
    if read[0].issubset(left) and read[1].issubset(right):
        return a, b
    return (b, a) if read[0].issubset(right) and read[1].issubset(left) else None


def named_keys(
    keys: Sequence[Expression], fields: Collection[str], side: str
) -> tuple[tuple[str, ...], Mapping[str, Expression]]:
    """The keys' names, and those that are no columns among `fields`: they have to be computed."""
    names: list[str] = []
    computed: dict[str, Expression] = {}
    for key in keys:
        if isinstance(key, FieldReference):
            names.append(key.name)
            continue
        number, name = 0, f"{side} key"
        while name in fields or name in computed:
            number += 1
            name = f"{side} key {number}"
        names.append(name)
        computed[name] = key
    return tuple(names), computed
