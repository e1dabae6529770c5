"""OrderBy against Python's stable sort."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from exec.tables import Rows, rows_of, run, scan, tables
from generated import quick
from hypothesis import given


def sorted_by(rows: Rows, keys: list[tuple[str, bool, bool]]) -> Rows:
    """Stable sorts by (column, ascending, nulls first), the least significant key first."""
    for column, ascending, nulls_first in reversed(keys):
        given_rows = [row for row in rows if row[column] is not None]
        nulls = [row for row in rows if row[column] is None]

        def value(row: dict[str, Any], column: str = column) -> Any:
            return row[column]

        # reverse=True keeps equal rows in their order
        given_rows.sort(key=value, reverse=not ascending)
        rows = nulls + given_rows if nulls_first else given_rows + nulls
    return rows


@pytest.mark.parametrize(
    ("keys", "meaning"),
    [
        (["id"], [("id", True, False)]),
        (["name desc"], [("name", False, False)]),
        (["score asc nulls first"], [("score", True, True)]),
        (
            ["label DESC NULLS FIRST", "name"],
            [("label", False, True), ("name", True, False)],
        ),
    ],
)
@quick
@given(batches=tables())
def test_sorts(
    keys: list[str], meaning: list[tuple[str, bool, bool]], batches: tuple[pa.RecordBatch, ...]
) -> None:
    expected = sorted_by(rows_of(batches), meaning)
    assert run(scan(batches).order_by(keys).plan()) == expected
