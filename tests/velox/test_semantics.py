"""Expressions, filters, sorting and aggregations mean what they mean in Velox."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from velox.random_queries import NUMBERS, query, table
from velox.semantics import differences, shown

from columnar_nn import PlanBuilder, prepare
from columnar_nn.errors import InvalidDataError, InvalidPlanError

pytest.importorskip("pyvelox")


def test_two_thousand_random_queries() -> None:
    assert differences(list(range(2000))) == []


def test_the_random_queries_are_not_all_refused_and_not_all_null() -> None:
    """Else they would show nothing."""
    told = 0
    for seed in range(200):
        try:
            plan = query(seed).on(PlanBuilder().values(table(seed % 50).to_batches())).plan()
            rows = prepare(plan, threads=1).run().to_table().to_pylist()
        except InvalidDataError:
            continue
        told += any(value is not None for row in rows for value in row.values())
    assert told > 120


@pytest.mark.parametrize("seed", range(20))
def test_aggregates_beside_duckdb(seed: int) -> None:
    """A second witness; its sums are wider, its casts and overflows its own."""
    duckdb = pytest.importorskip("duckdb")
    rows = table(seed)
    names = [f"{kind}_0" for kind in NUMBERS if kind != "bigint"] + ["small"]
    wanted = {
        f"{function}_{name}": f"{function}({name})"
        for name in names
        for function in ("count", "min", "max", "avg", "sum")
        if (function, name) != ("sum", "real_0")  # a DOUBLE there
    }
    plan = (
        PlanBuilder()
        .table_scan(rows)
        .aggregate(["key"], [f"{e} as {n}" for n, e in wanted.items()])
    )
    ours = prepare(plan.plan(), threads=2).run().to_table().to_pylist()
    connection = duckdb.connect()
    connection.register("rows_of_seed", rows)
    theirs = connection.sql(
        "SELECT key, "
        + ", ".join(f"CAST({e} AS DOUBLE) AS {n}" for n, e in wanted.items())
        + " FROM rows_of_seed GROUP BY key"
    ).to_arrow_table()

    def rounded(found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
        numbers = (
            tuple("null" if v is None else f"{float(v) + 0.0:.6g}" for v in row.values())
            for row in found
        )
        return sorted(numbers)

    assert rounded(ours) == rounded(theirs.to_pylist())


def computed(expression: str, **columns: Any) -> list[Any]:
    plan = PlanBuilder().table_scan(pa.table(columns)).project([f"{expression} AS z"]).plan()
    return prepare(plan, threads=1).run().to_table()["z"].to_pylist()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("if(k <> 0, 10 / k, 0)", [0, 10, 0, -5]),
        ("k <> 0 AND 10 / k > 1", [False, True, None, False]),
        ("10 / k > 1 AND k <> 0", [False, True, None, False]),
        ("k = 0 OR 10 / k > 1", [True, True, None, False]),
        ("coalesce(k, 1 / 0)", None),
        ("coalesce(1, 1 / k)", [1, 1, 1, 1]),
        ("try(10 / k)", [None, 10, None, -5]),
        ("switch(k = 0, 1, k > 0, 10 / k, -1)", [1, 10, -1, -1]),
        ("10 / k", None),
        ("k % -1", [0, 0, None, 0]),
        ("cast(2.5 AS BIGINT) + k", [3, 4, None, 1]),
        ("try(cast('x' AS BIGINT))", [None] * 4),
    ],
)
def test_what_is_not_needed_does_not_raise(expression: str, expected: list[Any] | None) -> None:
    """`k` is 0, 1, null, -2; None: an error."""
    column = pa.array([0, 1, None, -2])
    if expected is None:
        with pytest.raises(InvalidDataError, match="divide by zero"):
            computed(expression, k=column)
    else:
        assert computed(expression, k=column) == expected


def test_a_sum_that_leaves_64_bits_is_an_error_and_one_that_does_not_is_exact() -> None:
    largest = 2**63 - 1
    plan = lambda values: (  # noqa: E731
        PlanBuilder().table_scan(pa.table({"x": values})).aggregate([], ["sum(x) AS z"]).plan()
    )
    assert prepare(plan([largest, -5, 5])).run().to_table()["z"].to_pylist() == [largest]
    assert prepare(plan([-(2**63), 1, -1])).run().to_table()["z"].to_pylist() == [-(2**63)]
    for values in ([largest, 1], [-(2**63), -1], [largest] * 5):
        with pytest.raises(InvalidDataError, match="sum: integer overflow"):
            prepare(plan(values)).run().to_table()


def test_nan_is_one_value_and_the_largest() -> None:
    x = [math.nan, 1.0, -math.nan, math.inf, None]
    assert computed("x = x", x=x) == [True, True, True, True, None]
    assert computed("x > 2.0", x=x) == [True, False, True, True, None]
    plan = PlanBuilder().table_scan(pa.table({"x": x})).aggregate(["x"], ["count(1) AS n"])
    rows = prepare(plan.order_by(["x DESC"]).plan()).run().to_table().to_pylist()
    assert [(repr(row["x"]), row["n"]) for row in rows] == [
        ("nan", 2),
        ("inf", 1),
        ("1.0", 1),
        ("None", 1),
    ]


def test_casts_that_are_none() -> None:
    with pytest.raises(InvalidPlanError, match="cannot cast BOOLEAN to DATE"):
        computed("cast(x AS DATE)", x=[True])
    with pytest.raises(InvalidDataError, match="cannot cast VARCHAR 'b' to BIGINT"):
        computed("cast(x AS BIGINT)", x=["1", "b"])


def test_columns_called_as_the_engine_s_own() -> None:
    names = ["argument 0", "0", "state 0.0", "rows", "0_sum"]
    rows = pa.table({name: [1, 1, 2] for name in names})
    for name in names:
        plan = PlanBuilder().table_scan(rows).aggregate([name], ['sum("0") AS total', "count(1)"])
        got = prepare(plan.order_by(["total"]).plan()).run().to_table()
        assert got.column("total").to_pylist() == [2, 2]


def test_shown_tells_zeros_apart_in_projections_only() -> None:
    project, aggregate = (
        next(q for q in map(query, range(50)) if q.kind == k) for k in ("project", "aggregate")
    )
    assert shown([{"z": 0.0}], project) != shown([{"z": -0.0}], project)
    assert shown([{"z": 0.0}], aggregate) == shown([{"z": -0.0}], aggregate)
