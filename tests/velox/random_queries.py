"""Random tables, and queries of them that Velox and the columnar engine both read."""

from __future__ import annotations

import datetime
import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

INTEGERS = {"bigint": 64, "integer": 32, "smallint": 16, "tinyint": 8}
NUMBERS = (*INTEGERS, "double", "real")
SCALARS = (*NUMBERS, "varchar", "boolean", "timestamp", "date")
ARROW = {
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "smallint": pa.int16(),
    "tinyint": pa.int8(),
    "double": pa.float64(),
    "real": pa.float32(),
    "varchar": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
}

DOUBLES = (
    *(math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5, 2.5, -2.5, 0.5, -0.5, 1e10, 2.0**-1022),
    *(0.49999999999999994, 4503599627370497.5, 9223372036854775807.0, 127.5, -128.5, 2.0**127, 1.0),
    struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000001))[0],
)
TEXTS = (
    *("", "a", "ab", "b", "é", "1", " 12 ", "-7", "+3", "1.5", "1e3", "NaN", "Infinity", "true"),
    *("T", "0", "300", "9223372036854775807", "9223372036854775808", "2020-02-29", "2021-02-29"),
    *("2020-01-01 10:00:01", "x1", "007", "-0", ".5", "1.", "00000000000000000000000000001"),
)
DAYS = (datetime.date(1970, 1, 1), datetime.date(2020, 2, 29), datetime.date(1969, 12, 31))
INSTANTS = (
    datetime.datetime(1970, 1, 1),
    datetime.datetime(2020, 2, 29, 23, 59, 59),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999000),
    datetime.datetime(2262, 1, 1, 12, 30, 0, 1000),
)


def value(kind: str, source: random.Random) -> Any:
    """Often one that is special, sometimes null."""
    if source.random() < 0.15:
        return None
    if kind in INTEGERS:
        limit = 2 ** (INTEGERS[kind] - 1)
        return source.choice([limit - 1, -limit, 0, 1, -1, 2, 7, source.randrange(-limit, limit)])
    if kind in ("double", "real"):
        return source.choice([*DOUBLES, source.gauss(0, 10), source.randrange(9) / 2])
    pools: dict[str, tuple[Any, ...]] = {
        "varchar": TEXTS,
        "boolean": (True, False),
        "timestamp": INSTANTS,
        "date": DAYS,
    }
    return source.choice(pools[kind])


def table(seed: int, rows: int = 24) -> pa.Table:
    """Two columns of each type, `bigint_0` and so on, and few different `key`s."""
    source = random.Random(seed)
    columns = {
        f"{kind}_{index}": pa.array([value(kind, source) for _ in range(rows)], ARROW[kind])
        for kind in SCALARS
        for index in (0, 1)
    }
    key = [source.choice([0.0, -0.0, math.nan, 1.0, None]) for _ in range(rows)]
    small = [source.choice([None, *range(-9, 9)]) for _ in range(rows)]
    return pa.table({**columns, "key": key, "small": pa.array(small, pa.int64())})


class Expressions:
    """Draws expressions of a wanted type, as text; arguments always have the types they must."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def draw(self, kind: str, depth: int) -> str:
        """At most `depth` calls within each other."""
        if depth == 0 or self._source.random() < 0.2:
            return self._leaf(kind)
        makers: list[Callable[[str, int], str]] = [self._if, self._case, self._coalesce, self._try]
        if kind == "boolean":
            makers = [*makers, *[self._compared] * 4, *[self._logic] * 5]
        elif kind in NUMBERS:
            makers += [*[self._arithmetic] * 8, self._negated]
        makers += [self._cast] * 2
        return self._source.choice(makers)(kind, depth - 1)

    def _leaf(self, kind: str) -> str:
        if self._source.random() < 0.75 or kind in ("timestamp", "date", "varchar"):
            return f"{kind}_{self._source.randrange(2)}"
        if kind == "boolean":
            return self._source.choice(["true", "false"])
        if kind == "double":
            return self._source.choice(["0.0", "1.5", "2.5", "-0.5", "100.0"])
        if kind == "bigint":
            return self._source.choice(["0", "1", "-1", "2", "9223372036854775807"])
        return f"cast({self._source.choice(['0', '1', '-1', '2'])} as {kind})"

    def _arithmetic(self, kind: str, depth: int) -> str:
        operator = self._source.choice("+-*/%")
        return f"({self.draw(kind, depth)} {operator} {self.draw(kind, depth)})"

    def _negated(self, kind: str, depth: int) -> str:
        return f"negate({self.draw(kind, depth)})"

    def _compared(self, kind: str, depth: int) -> str:
        of = self._source.choice(SCALARS)
        comparisons = ["=", "<>", "<", "<=", ">", ">="]
        left, right = self.draw(of, depth), self.draw(of, depth)
        if self._source.random() < 0.2 and of != "boolean":
            return f"({left} between {right} and {self.draw(of, depth)})"
        if self._source.random() < 0.15:
            return f"({left} is null)"
        return f"({left} {self._source.choice(comparisons)} {right})"

    def _logic(self, kind: str, depth: int) -> str:
        left, right = self.draw(kind, depth), self.draw(kind, depth)
        return self._source.choice(
            [f"({left} and {right})", f"({left} or {right})", f"(not {left})"]
        )

    def _if(self, kind: str, depth: int) -> str:
        condition = self.draw("boolean", depth)
        return f"if({condition}, {self.draw(kind, depth)}, {self.draw(kind, depth)})"

    def _case(self, kind: str, depth: int) -> str:
        parts = [self.draw(part, depth) for part in ("boolean", kind) * 2]
        return f"switch({', '.join([*parts, self.draw(kind, depth)])})"

    def _coalesce(self, kind: str, depth: int) -> str:
        return f"coalesce({self.draw(kind, depth)}, {self.draw(kind, depth)})"

    def _try(self, kind: str, depth: int) -> str:
        return f"try({self.draw(kind, depth)})"

    def _cast(self, kind: str, depth: int) -> str:
        sources = {"timestamp": ("varchar", "date"), "date": ("varchar", "timestamp")}
        others = ("varchar", "boolean", *NUMBERS) if kind != "varchar" else (*INTEGERS, "double")
        of = self._source.choice(sources.get(kind, others))
        return f"cast({self.draw(of, depth)} as {kind})"


@dataclass(frozen=True)
class Query:
    """Calls of the plan builder, which are the same for both engines, on the table of a seed."""

    table: int
    calls: tuple[tuple[str, tuple[Any, ...]], ...]
    kind: str

    def on(self, builder: Any) -> Any:
        """The builder after the calls."""
        for method, arguments in self.calls:
            builder = getattr(builder, method)(*arguments)
        return builder

    def __str__(self) -> str:
        calls = "; ".join(f"{method}{arguments}" for method, arguments in self.calls)
        return f"table {self.table}: {calls}"


def query(seed: int) -> Query:
    """The query of a seed: most project, others filter, sort or aggregate."""
    source = random.Random(seed)
    kind = source.choices(["project", "filter", "order_by", "aggregate"], [10, 2, 1, 4])[0]
    expressions = Expressions(source)
    if kind == "aggregate":
        return Query(seed % 50, (_aggregation(source),), kind)
    if kind == "order_by":
        columns = source.sample([f"{kind}_{i}" for kind in SCALARS for i in (0, 1)], 3)
        order = [
            f"{column} {source.choice(['ASC', 'DESC'])} NULLS {source.choice(['FIRST', 'LAST'])}"
            for column in columns
        ]
        return Query(seed % 50, (("order_by", (order,)), ("project", (columns,))), kind)
    if kind == "filter":
        condition = expressions.draw("boolean", source.randrange(1, 4))
        return Query(seed % 50, (("filter", (condition,)), ("project", (["bigint_0"],))), kind)
    text = expressions.draw(source.choice(SCALARS), source.randrange(1, 4))
    return Query(seed % 50, (("project", ([f"{text} as z"],)),), kind)


def _aggregation(source: random.Random) -> tuple[str, tuple[Any, ...]]:
    """pyvelox has no avg(TINYINT)."""
    keys = source.choice([[], ["key"], ["boolean_0"], ["real_0"], ["varchar_0", "key"]])
    aggregates = []
    for index in range(source.randrange(1, 4)):
        function = source.choice(["count", "sum", "min", "max", "avg"])
        kinds = SCALARS if function in ("count", "min", "max") else NUMBERS
        arguments = [f"{kind}_0" for kind in kinds if (function, kind) != ("avg", "tinyint")]
        distinct = source.choice(["", "", "", "distinct "])
        argument = source.choice([*arguments, "small"])
        aggregates.append(f"{function}({distinct}{argument}) as a{index}")
    return "aggregate", (keys, aggregates)
