"""Filter against Python's own comparison of the rows, with SQL's three-valued logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from exec.tables import Rows, rows_of, run, scan, tables
from generated import quick
from hypothesis import given

from columnar_nn.errors import InvalidDataError


def both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def known(*values: Any) -> bool:
    return all(value is not None for value in values)


CONDITIONS: dict[str, Callable[[dict[str, Any]], bool | None]] = {
    "label < 3": lambda r: r["label"] < 3 if known(r["label"]) else None,
    "id % 3 = 1": lambda r: None if r["id"] is None else r["id"] - int(r["id"] / 3) * 3 == 1,
    "id / 7 = -1": lambda r: int(r["id"] / 7) == -1 if known(r["id"]) else None,
    "id + label > 0": lambda r: r["id"] + r["label"] > 0 if known(r["id"], r["label"]) else None,
    "score * 2.0 >= 1.5": lambda r: r["score"] * 2 >= 1.5 if known(r["score"]) else None,
    "name = 'a'": lambda r: r["name"] == "a" if known(r["name"]) else None,
    "name is null": lambda r: r["name"] is None,
    "label between 1 and 3": lambda r: 1 <= r["label"] <= 3 if known(r["label"]) else None,
    "not (label = 2 and score < 0.0)": lambda r: negated(
        both(
            r["label"] == 2 if known(r["label"]) else None,
            r["score"] < 0 if known(r["score"]) else None,
        )
    ),
    "if(name is null, id, cast(label as bigint)) > 1": lambda r: greater_than_one(
        r["id"] if r["name"] is None else r["label"]
    ),
    "true": lambda r: True,
    "null = 1 or label = 0": lambda r: True if r["label"] == 0 else None,
}


def negated(value: bool | None) -> bool | None:
    return None if value is None else not value


def greater_than_one(value: int | None) -> bool | None:
    return None if value is None else value > 1


@pytest.mark.parametrize("condition", CONDITIONS)
@quick
@given(batches=tables())
def test_keeps_the_rows_for_which_it_is_true(
    condition: str, batches: tuple[pa.RecordBatch, ...]
) -> None:
    expected: Rows = [row for row in rows_of(batches) if CONDITIONS[condition](row) is True]
    assert run(scan(batches).filter(condition).plan()) == expected


@quick
@given(batches=tables())
def test_a_projection_computes_the_same_condition(batches: tuple[pa.RecordBatch, ...]) -> None:
    plan = scan(batches).project([f"{condition} as c{i}" for i, condition in enumerate(CONDITIONS)])
    expected = [
        {f"c{i}": rule(row) for i, rule in enumerate(CONDITIONS.values())}
        for row in rows_of(batches)
    ]
    assert run(plan.plan()) == expected


@pytest.mark.parametrize("condition", ["id / 0 = 1", "id % 0 = 1", "id * 9223372036854775807 > 0"])
def test_integer_arithmetic_without_a_result_is_an_error(condition: str) -> None:
    batch = pa.record_batch({"id": pa.array([3], pa.int64())})
    with pytest.raises(InvalidDataError, match="filter such rows out first"):
        run(scan([batch]).filter(condition).plan())
