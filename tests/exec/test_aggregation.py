"""Aggregation against dictionaries of lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from exec import tables as generated_tables
from exec.tables import Rows, rows_of, run, scan, tables
from generated import quick
from hypothesis import given

from columnar_nn.exec.operators import aggregation


def over(column: str, function: Callable[[list[Any]], Any]) -> Callable[[Rows], Any]:
    """`function` of the column's values that are not null; null if there are none."""

    def apply(rows: Rows) -> Any:
        values = [row[column] for row in rows if row[column] is not None]
        return function(values) if values else None

    return apply


AGGREGATES: dict[str, Callable[[Rows], Any]] = {
    "count()": len,
    "count(1)": len,
    "count(name)": lambda rows: sum(row["name"] is not None for row in rows),
    "sum(label)": over("label", sum),
    "sum(score)": over("score", sum),
    "avg(id)": over("id", lambda values: sum(values) / len(values)),
    "avg(score)": over("score", lambda values: sum(values) / len(values)),
    "avg(label)": over("label", lambda values: sum(values) / len(values)),
    "min(name)": over("name", min),
    "max(id)": over("id", max),
    "sum(id * 2)": over("id", lambda values: 2 * sum(values)),
}


def expected(rows: Rows, keys: list[str]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], Rows] = {} if keys else {(): []}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [
        dict(zip(keys, values, strict=True))
        | {f"a{i}": function(group) for i, function in enumerate(AGGREGATES.values())}
        for values, group in groups.items()
    ]


def in_some_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, rows))


@pytest.mark.parametrize("keys", [[], ["label"], ["label", "name"]], ids=str)
@quick
@given(batches=tables())
def test_groups(threads: int, keys: list[str], batches: tuple[pa.RecordBatch, ...]) -> None:
    plan = scan(batches).aggregate(keys, list(AGGREGATES)).plan()
    assert in_some_order(run(plan, threads)) == in_some_order(expected(rows_of(batches), keys))


@quick
@given(batches=tables())
def test_keys_alone_give_distinct_rows(batches: tuple[pa.RecordBatch, ...]) -> None:
    plan = scan(batches).aggregate(["label"], []).plan()
    distinct = {row["label"] for row in rows_of(batches)}
    assert in_some_order(run(plan)) == in_some_order([{"label": value} for value in distinct])


def test_state_is_reduced_as_rows_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregation, "REDUCE_ROWS", 8)
    batch = pa.record_batch(
        {
            name: pa.array([i % 3 for i in range(100)], generated_tables.SCHEMA.field(name).type)
            for name in ("id", "label", "score")
        }
        | {"name": pa.array([["a", None][i % 2] for i in range(100)])}
    )
    batches = [batch.slice(start, 5) for start in range(0, 100, 5)]
    plan = scan(batches).aggregate(["label"], list(AGGREGATES)).plan()
    assert in_some_order(run(plan)) == in_some_order(expected(rows_of(batches), ["label"]))


def test_real_sums_are_accumulated_in_double() -> None:
    batch = pa.record_batch({"x": pa.array([2.0**24, 1.0, 1.0, -(2.0**24)], pa.float32())})
    plan = scan([batch]).aggregate([], ["sum(x)", "avg(x)"]).plan()
    assert plan.output_type.types == [pa.float32(), pa.float32()]
    assert run(plan) == [{"a0": 2.0, "a1": 0.5}]


@quick
@given(batches=tables())
def test_rows_are_counted_though_no_column_is_read(
    threads: int, batches: tuple[pa.RecordBatch, ...]
) -> None:
    plan = scan(batches).aggregate([], ["count() AS n"]).plan()
    assert run(plan, threads) == [{"n": len(rows_of(batches))}]
