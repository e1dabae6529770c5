"""Random queries that mean the same in Presto's SQL and in DuckDB's, and tables for them.

What differs is left out: division of integers, casts that round, sums beyond 64 bits.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pyarrow as pa

INTEGERS, DOUBLES, TEXTS, TRUTHS = "integer", "double", "text", "truth"


def tables(seed: int) -> dict[str, pa.Table]:
    """Tables t and u with nulls; numbers are quarters, whose sums are exact in any order."""
    chance = random.Random(seed)

    def column(rows: int, values: list, data_type: pa.DataType) -> pa.Array:
        return pa.array([chance.choice([None, *values]) for _ in range(rows)], data_type)

    rows, others = chance.choice((0, 1, 7, 300, 700)), chance.choice((0, 1, 5, 40))
    t = {
        "id": pa.array(range(rows), pa.int64()),
        "a": column(rows, list(range(-5, 6)), pa.int64()),
        "b": column(rows, [0, 1, 2, 3], pa.int32()),
        "d": column(rows, [quarter / 4 for quarter in range(-9, 10)], pa.float64()),
        "s": column(rows, ["", "a", "b", "ab", "a%", "_"], pa.string()),
        "f": column(rows, [True, False], pa.bool_()),
    }
    u = {
        "k": column(others, [0, 1, 2, 3, 4], pa.int64()),
        "s": column(others, ["a", "b", "c"], pa.string()),
        "v": column(others, [0.5, 1.5, -2.0], pa.float64()),
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
]
U = [_Column("u.k", INTEGERS), _Column("u.s", TEXTS), _Column("u.v", DOUBLES)]


class _Writer:
    """Draws the parts of one query."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.columns: list[_Column] = []

    def _of(self, kind: str) -> str:
        known = [column.text for column in self.columns if column.kind == kind]
        chance = self._chance
        if known and chance.random() < 0.7:
            return chance.choice(known)
        if kind == INTEGERS:
            return str(chance.randrange(-3, 6))
        if kind == DOUBLES:
            return f"cast({chance.randrange(-8, 9) / 4} as double)"
        if kind == TEXTS:
            return chance.choice(("'a'", "'b'", "'ab'", "''"))
        return chance.choice(("true", "false"))

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
        if kind == TEXTS:
            return f"coalesce({a}, {b})"
        if kind == DOUBLES and chance.random() < 0.2:
            return f"cast({self.value(INTEGERS, depth - 1)} as double)"
        if chance.random() < 0.15:
            return chance.choice((f"coalesce({a}, {b})", f"nullif({a}, {b})", f"(- {a})"))
        return f"({a} {chance.choice('+-*')} {b})"

    def _truth(self, depth: int) -> str:
        chance = self._chance
        kind = chance.choice((INTEGERS, INTEGERS, DOUBLES, TEXTS))
        a, b = self.value(kind, depth - 1), self.value(kind, depth - 1)
        low = self.value(kind, depth - 1)
        negated = chance.choice(("", "not "))
        form = chance.randrange(7)
        if form == 0:
            return f"({a} {negated}between {low} and {b})"
        if form == 1:
            items = ", ".join(self._of(kind) for _ in range(chance.randrange(1, 4)))
            return f"({a} {negated}in ({items}))"
        if form == 2:
            return f"({a} is {negated}null)"
        if form == 3:
            text = self.value(TEXTS, depth - 1)
            pattern = chance.choice(("a%", "%b", "_", "%", "", "a!%"))
            escape = " escape '!'" if "!" in pattern else ""
            return f"({text} {negated}like '{pattern}'{escape})"
        if form == 4:
            sides = self.value(TRUTHS, depth - 1), self.value(TRUTHS, depth - 1)
            return f"({negated}{sides[0]} {chance.choice(('and', 'or'))} {sides[1]})"
        if form == 5:
            return f"({a} is {negated}distinct from {b})"
        return f"({a} {chance.choice(('=', '<>', '<', '<=', '>', '>='))} {b})"

    def source(self) -> str:
        """What stands after FROM; its columns are known from then on."""
        chance = self._chance
        form = chance.randrange(8)
        self.columns = [*T]
        if form == 0:
            condition = self.value(TRUTHS)
            return f"(select * from t where {condition}) as t"
        if form in (1, 2, 3):
            join = ("join", "left join", "right join")[form - 1]
            self.columns = [*T, *U]
            on = chance.choice(("t.b = u.k", "t.s = u.s", "t.b + 1 = u.k", "t.d = u.k"))
            if chance.random() < 0.4:
                on += f" and {self.value(TRUTHS, 1)}" if join == "join" else " and t.s = u.s"
            return f"t {join} u on {on}"
        return "t"

    def where(self) -> str:
        """A WHERE, or none."""
        chance = self._chance
        if chance.random() < 0.4:
            return ""
        parts = [self.value(TRUTHS)]
        if chance.random() < 0.25:
            query = chance.choice(("select k from u", "select k from u where k is not null"))
            parts.append(f"t.b {chance.choice(('', 'not '))}in ({query})")
        return f" where {' and '.join(parts)}"

    def aggregate(self) -> _Column:
        """An aggregate of some expression."""
        chance = self._chance
        form = chance.randrange(6)
        if form == 0:
            return _Column("count(*)", INTEGERS)
        kind = chance.choice((INTEGERS, DOUBLES))
        argument = self.value(kind, 1)
        if form == 1:
            return _Column(f"count({argument})", INTEGERS)
        if form == 2:
            return _Column(f"avg({argument})", DOUBLES)
        if form == 3:
            return _Column(f"sum({argument})", kind)
        return _Column(f"{chance.choice(('min', 'max'))}({argument})", kind)


def _select(writer: _Writer, chance: random.Random, kinds: list[str] | None = None) -> str:
    """A SELECT without order; its columns are of `kinds`, if there are any."""
    source = writer.source()
    where = writer.where()
    drawn = [
        chance.choice((INTEGERS, DOUBLES, TEXTS, TRUTHS)) for _ in range(chance.randrange(1, 4))
    ]
    if kinds is None and chance.random() < 0.4:
        keys = [writer.value(kind, 1) for kind in drawn[: chance.randrange(3)]]
        keys = [key for key in keys if "." in key.replace("0.", "")]  # a constant is no key
        aggregates = [writer.aggregate() for _ in range(chance.randrange(1, 3))]
        writer.columns = [c for c in aggregates]
        shown = [*keys, *(c.text for c in aggregates)]
        if chance.random() < 0.3:
            shown.append(writer.value(INTEGERS, 1))
        group = ""
        if keys:
            by_number = chance.random() < 0.5
            listed = [str(i + 1) for i in range(len(keys))] if by_number else keys
            group = f" group by {', '.join(listed)}"
        having = f" having {writer.value(TRUTHS, 1)}" if chance.random() < 0.3 else ""
        columns = ", ".join(f"{text} as c{i}" for i, text in enumerate(shown))
        return f"select {columns} from {source}{where}{group}{having}"
    shown = [writer.value(kind) for kind in kinds or drawn]
    columns = ", ".join(f"{text} as c{i}" for i, text in enumerate(shown))
    distinct = "distinct " if chance.random() < 0.2 else ""
    return f"select {distinct}{columns} from {source}{where}"


def query(seed: int) -> tuple[str, bool]:
    """A query over the tables, and whether its rows have an order."""
    chance = random.Random(seed)
    writer = _Writer(chance)
    form = chance.randrange(6)
    if form == 0:
        kinds = [chance.choice((INTEGERS, DOUBLES, TEXTS)) for _ in range(2)]
        word = chance.choice(("union all", "union"))
        text = f" {word} ".join(
            _select(writer, chance, kinds) for _ in range(chance.randrange(2, 4))
        )
    elif form == 1:
        text = f"with q as ({_select(writer, chance)}) select * from q"
    elif form == 2:
        text = f"select q.c0, count(*) as n from ({_select(writer, chance)}) as q group by q.c0"
    else:
        text = _select(writer, chance)
    if chance.random() < 0.5:
        return text, False
    width = text.count(" as c") if form == 3 else 1
    ways = [chance.choice(("", " desc", " nulls first", " desc nulls first")) for _ in range(width)]
    if chance.random() < 0.5:
        return f"select * from ({text}) as o order by 1{ways[0]}", False
    return text, False
