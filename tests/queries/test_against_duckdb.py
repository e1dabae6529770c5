"""Random queries give the rows that DuckDB gives."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from queries.random_query import query, tables

import columnar_nn

SEEDS_A_TEST = 25
KINDS_OF_TABLES = 17


def plain(value: Any) -> str:
    """A value that is told from others alike of both: DuckDB has sums of 128 bits."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return repr(float(value) + 0.0)  # -0.0 is 0.0
    return repr(value)


def duckdb_rows(text: str, tables: dict[str, Any]) -> list[tuple[str, ...]]:
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return [tuple(map(plain, row)) for row in connection.execute(text).fetchall()]


@pytest.mark.parametrize("first", range(0, 400, SEEDS_A_TEST))
def test_random_queries(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        text, has_order = query(seed)
        given = tables(seed % KINDS_OF_TABLES)
        expected = duckdb_rows(text, given)
        found = columnar_nn.sql(text, threads=seed % 2 + 1, **given)
        columns = [map(plain, column.to_pylist()) for column in found.columns]
        rows = list(zip(*columns, strict=True))
        assert Counter(rows) == Counter(expected), (seed, text)
        if has_order:
            assert rows == expected, (seed, text)


def test_most_random_queries_give_rows() -> None:
    seeds = range(100)
    numbers = [
        columnar_nn.sql(query(seed)[0], **tables(seed % KINDS_OF_TABLES)).num_rows for seed in seeds
    ]
    assert sum(number > 0 for number in numbers) > 50
