"""Random queries that mean the same in Presto's SQL and in DuckDB's, and tables for them.

What differs is left out: division of integers, casts that round, sums beyond 64 bits, and bounds
of BETWEEN that are null, where Velox's result is null. Integers at the ends of 64 bits are not
calculated with.
"""

from __future__ import annotations

import datetime
import math
import random
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

INTEGERS, DOUBLES, TEXTS, TRUTHS = "integer", "double", "text", "truth"
WIDE, FLOATS, DAYS, TIMES = "wide", "float", "day", "time"
"""Integers up to the ends of 64 bits; doubles with NaN, infinities and both zeros."""

KINDS = (INTEGERS, DOUBLES, TEXTS, TRUTHS, WIDE, FLOATS, DAYS, TIMES)

_SUMMED = (INTEGERS, DOUBLES, FLOATS)

WIDES = [-(2**63), -(2**63) + 1, -1, 0, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1]
SPECIAL = [math.nan, math.inf, -math.inf, -0.0, 0.0, 0.25, -1.5]


_FLOAT_TEXTS = ("NaN", "Infinity", "-Infinity", "0", "0.25")
_DATES = [datetime.date(1969, 12, 31), datetime.date(1970, 1, 1), datetime.date(2024, 2, 29)]
_TIMES = [
    datetime.datetime(*day, 12, 0, 1) for day in ((1969, 12, 31), (1970, 1, 1), (2024, 2, 29))
]


def tables(seed: int) -> dict[str, pa.Table]:
    """Tables t and u with nulls; numbers are quarters, whose sums are exact in any order."""
    chance = random.Random(seed)

    def column(rows: int, values: list, data_type: pa.DataType) -> pa.Array:
        return pa.array([chance.choice([None, *values]) for _ in range(rows)], data_type)

    rows, others = chance.choice((0, 1, 7, 60, 300, 700)), chance.choice((0, 1, 5, 20, 40))
    t = {
        "id": pa.array(range(rows), pa.int64()),
        "a": column(rows, list(range(-5, 6)), pa.int64()),
        "b": column(rows, [0, 1, 2, 3], pa.int32()),
        "d": column(rows, [quarter / 4 for quarter in range(-9, 10)], pa.float64()),
        "s": column(rows, ["", "a", "b", "ab", "a%", "_", "é", "7", "-12"], pa.string()),
        "f": column(rows, [True, False], pa.bool_()),
        "w": column(rows, WIDES, pa.int64()),
        "e": column(rows, SPECIAL, pa.float64()),
        "y": column(rows, _DATES, pa.date32()),
        "m": column(rows, _TIMES, pa.timestamp("us")),
        "n": column(rows, [-1, 0, 1, 2], pa.int16()),
        "r": column(rows, [-1.5, -0.25, 0.0, 0.25, 2.0], pa.float32()),
        "g": column(rows, ["a", "b", "c"], pa.string()).dictionary_encode(),
    }
    u = {
        "k": column(others, [0, 1, 2, 3, 4], pa.int64()),
        "s": column(others, ["a", "b", "c"], pa.string()),
        "v": column(others, [0.5, 1.5, -2.0], pa.float64()),
        "w": column(others, WIDES, pa.int64()),
        "e": column(others, SPECIAL, pa.float64()),
        "y": column(others, _DATES, pa.date32()),
        "m": column(others, _TIMES, pa.timestamp("us")),
    }
    return {"t": pa.table(t), "u": pa.table(u)}


@dataclass(frozen=True)
class _Column:
    text: str
    kind: str


T = [
    *(_Column(name, INTEGERS) for name in ("t.id", "t.a", "t.b")),
    _Column("t.d", DOUBLES),
    _Column("t.s", TEXTS),
    _Column("t.f", TRUTHS),
    _Column("t.w", WIDE),
    _Column("t.e", FLOATS),
    _Column("t.y", DAYS),
    _Column("t.m", TIMES),
    _Column("t.n", INTEGERS),
    _Column("t.r", DOUBLES),
    _Column("t.g", TEXTS),
]
U = [
    _Column("u.k", INTEGERS),
    _Column("u.s", TEXTS),
    _Column("u.v", DOUBLES),
    _Column("u.w", WIDE),
    _Column("u.e", FLOATS),
    _Column("u.y", DAYS),
    _Column("u.m", TIMES),
]
Z = [_Column(column.text.replace("u.", "z."), column.kind) for column in U]


_EQUALITIES = (
    "t.b = u.k",
    "t.s = u.s",
    "t.w = u.w",
    "t.e = u.e",
    "t.y = u.y",
    "t.m = u.m",
    "t.g = u.s",
)


class _Writer:
    """Draws the parts of one query."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.columns: list[_Column] = []
        self.also = ""

    def _of(self, kind: str) -> str:
        known = [column.text for column in self.columns if column.kind == kind]
        chance = self._chance
        if known and chance.random() < 0.7:
            return chance.choice(known)
        return self._literal(kind)

    def _literal(self, kind: str) -> str:
        chance = self._chance
        of_kind = {
            INTEGERS: lambda: str(chance.randrange(-3, 6)),
            DOUBLES: lambda: f"cast({chance.randrange(-8, 9) / 4} as double)",
            TEXTS: lambda: chance.choice(("'a'", "'b'", "'ab'", "''")),
            TRUTHS: lambda: chance.choice(("true", "false")),
            WIDE: lambda: str(chance.choice(WIDES[1:])),
            FLOATS: lambda: f"cast('{chance.choice(_FLOAT_TEXTS)}' as double)",
            TIMES: lambda: f"cast('{chance.choice(_TIMES)}' as timestamp)",
            DAYS: lambda: f"cast('{chance.choice(_DATES)}' as date)",
        }
        return of_kind[kind]()

    def value(self, kind: str, depth: int = 2) -> str:
        """An expression of a kind."""
        chance = self._chance
        if not depth or chance.random() < 0.35:
            return self._of(kind)
        if chance.random() < 0.2:
            condition, first = self.value(TRUTHS, depth - 1), self.value(kind, depth - 1)
            other = f" else {self.value(kind, depth - 1)}" if chance.random() < 0.7 else ""
            return f"case when {condition} then {first}{other} end"
        if kind == TRUTHS:
            return self._truth(depth)
        a, b = self.value(kind, depth - 1), self.value(kind, depth - 1)
        forms = [f"coalesce({a}, {b})", f"nullif({a}, {b})"]
        if kind == DOUBLES:
            forms.append(f"cast({self.value(INTEGERS, depth - 1)} as double)")
        if kind == FLOATS:
            forms.append(f"cast({self.value(WIDE, depth - 1)} as double)")
        if kind == TEXTS:
            forms.append(f"cast({self.value(INTEGERS, depth - 1)} as varchar)")
        if kind == INTEGERS:
            forms.append(f"try_cast({self._of(TEXTS)} as bigint)")
            forms.append(f"cast({self.value(TRUTHS, depth - 1)} as bigint)")
        if kind in (INTEGERS, DOUBLES, FLOATS):
            forms += [f"(- {a})", *(f"({a} {sign} {b})" for sign in "+-*" * 2)]
        return chance.choice(forms)

    def _truth(self, depth: int) -> str:
        chance = self._chance
        kind = chance.choice(
            (INTEGERS, INTEGERS, DOUBLES, TEXTS, WIDE, FLOATS, FLOATS, DAYS, TIMES)
        )
        a, b = (self.value(kind, depth - 1) for _ in range(2))
        text, left, right = (self.value(k, depth - 1) for k in (TEXTS, TRUTHS, TRUTHS))
        items = ", ".join(self._of(kind) for _ in range(chance.randrange(1, 4)))
        negated = chance.choice(("", "not "))
        pattern = chance.choice(("'a%'", "'%b'", "'_'", "'%'", "''", "'a!%' escape '!'"))
        forms = (
            f"({a} {negated}between {self._literal(kind)} and {self._literal(kind)})",
            f"({a} {negated}in ({items}))",
            f"({a} is {negated}null)",
            f"({text} {negated}like {pattern})",
            f"({negated}{left} {chance.choice(('and', 'or'))} {right})",
            f"({a} is {negated}distinct from {b})",
            f"({a} {chance.choice(('=', '<>', '<', '<=', '>', '>='))} {b})",
        )
        return chance.choice(forms)

    def source(self) -> str:
        """What stands after FROM; its columns are known from then on."""
        chance = self._chance
        form = chance.randrange(10)
        self.columns = [*T]
        if form == 0:
            condition = self.value(TRUTHS)
            return f"(select * from t where {condition}) as t"
        if form in (1, 2, 3, 4):
            join = ("join", "left join", "right join", "full join")[form - 1]
            self.columns = [*T, *U]
            on = chance.choice(
                (*_EQUALITIES, "t.b + 1 = u.k", "t.d = u.k", "t.w = u.e", "t.n = u.k", "t.r = u.v")
            )
            if chance.random() < 0.4:
                # DuckDB joins fully by equalities alone
                on += " and t.s = u.s" if join == "full join" else f" and {self.value(TRUTHS, 1)}"
            if chance.random() < 0.2:
                self.columns += Z
                on += f" {chance.choice(('join', 'left join'))} u as z on t.b = z.k and u.s = z.s"
            return f"t {join} u on {on}"
        if form == 5:
            self.columns = [*T, *U]
            first = chance.choice(("t, ", "t cross join ", "t join "))
            if first == "t join ":
                return f"(select * from t where id < 9) as t join u on {self.value(TRUTHS, 1)}"
            self.also = chance.choice(
                ("t.b = u.k", "t.b + 1 = u.k", "u.s = t.s and t.b < u.k", "t.id < 5")
            )
            return f"{first}u"
        return "t"

    def where(self) -> str:
        """A WHERE, or none."""
        chance = self._chance
        also, self.also = self.also, ""
        if chance.random() < 0.5:
            return f" where {also}" if also else ""
        parts = [self.value(TRUTHS), *([also] if also else [])]
        if chance.random() < 0.1:
            where = chance.choice(("u.k = t.b", "s = t.s and v > 0", "t.s = s and k < t.b"))
            parts.append(f"{chance.choice(('', 'not '))}exists (select 1 from u where {where})")
        if chance.random() < 0.25:
            query = chance.choice(("select k from u", "select k from u where k is not null"))
            key = chance.choice("bwey")
            query = query if key == "b" else query.replace("k", key)
            parts.append(f"t.{key} {chance.choice(('', 'not '))}in ({query})")
        return f" where {' and '.join(parts)}"

    def aggregate(self) -> _Column:
        """An aggregate of some expression."""
        chance = self._chance
        form = chance.randrange(6)
        if form == 0:
            return _Column("count(*)", INTEGERS)
        kind = chance.choice((INTEGERS, DOUBLES, FLOATS, WIDE, DAYS, TIMES))
        argument = self.value(kind, 1)
        if chance.random() < 0.25:
            argument = f"distinct {argument}"
        if form == 1:
            return _Column(f"count({argument})", INTEGERS)
        if form == 2 and kind in _SUMMED:
            return _Column(f"avg({argument})", DOUBLES)
        if form == 3 and kind in _SUMMED:
            return _Column(f"sum({argument})", kind)
        return _Column(f"{chance.choice(('min', 'max'))}({argument})", kind)


def _select(writer: _Writer, chance: random.Random, kinds: list[str] | None = None) -> _Select:
    """A SELECT without order; its columns are of `kinds`, if there are any."""
    source, where = writer.source(), writer.where()
    drawn = [chance.choice(KINDS) for _ in range(3)]
    if kinds is None and chance.random() < 0.4:
        keys = [writer.value(kind, 1) for kind in drawn[: chance.randrange(3)]]
        keys = [key for key in keys if "." in key.replace("0.", "")]  # a constant is no key
        aggregates = [writer.aggregate() for _ in range(chance.randrange(1, 3))]
        writer.columns = list(aggregates)
        shown = [*keys, *(column.text for column in aggregates), writer.value(INTEGERS, 1)]
        by_number = chance.random() < 0.5
        listed = [str(i + 1) for i in range(len(keys))] if by_number else keys
        group = f" group by {', '.join(listed)}" if keys else ""
        having = f" having {writer.value(TRUTHS, 1)}" if chance.random() < 0.3 else ""
        return _Select(f"{_list(shown)} from {source}{where}{group}{having}", len(shown))
    shown = [writer.value(kind) for kind in kinds or drawn[: chance.randrange(1, 4)]]
    distinct = "distinct " if chance.random() < 0.2 else ""
    return _Select(f"{distinct}{_list(shown)} from {source}{where}", len(shown))


@dataclass(frozen=True)
class _Select:
    """What stands after SELECT, and its number of columns."""

    text: str
    width: int


def _list(shown: list[str]) -> str:
    return ", ".join(f"{text} as c{i}" for i, text in enumerate(shown))


class Query(NamedTuple):
    """A text, whether its rows have an order, and how many of its rows are asked for, and where
    from: LIMIT and OFFSET are behind the text, or None."""

    text: str
    has_order: bool
    limit: int | None = None
    offset: int = 0

    @property
    def whole(self) -> str:
        """The text with its limit."""
        if self.limit is None:
            return self.text
        offset = f" offset {self.offset}" if self.offset else ""
        return f"{self.text} limit {self.limit}{offset}"


def query(seed: int) -> Query:
    """A query over the tables."""
    chance = random.Random(seed)
    text, width = _text(chance)
    has_order = chance.random() < 0.5
    if has_order:
        ways = ("", " desc", " nulls first", " desc nulls last")
        keys = [f"{i + 1}{chance.choice(ways)}" for i in range(width)]
        text = f"{text} order by {', '.join(keys)}"
    if chance.random() < 0.5 if has_order else chance.random() < 0.2:
        return Query(text, has_order, chance.randrange(20), chance.choice((0, chance.randrange(5))))
    return Query(text, has_order)


def _text(chance: random.Random) -> tuple[str, int]:
    """A query without order, and its number of columns."""
    writer = _Writer(chance)
    form = chance.randrange(6)
    if form == 0:
        kinds = [chance.choice(KINDS) for _ in range(2)]
        parts = [_select(writer, chance, kinds) for _ in range(chance.randrange(2, 4))]
        word = chance.choice((" union all ", " union "))
        return word.join(f"select {part.text}" for part in parts), 2
    part = _select(writer, chance)
    if form == 1:
        return f"with q as (select {part.text}) select * from q", part.width
    if form == 2:
        return f"select q.c0, count(*) as n from (select {part.text}) as q group by q.c0", 2
    return f"select {part.text}", part.width
