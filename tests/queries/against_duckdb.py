"""A random query's rows, beside those that DuckDB gives."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
from queries.random_query import query, tables

import columnar_nn

KINDS_OF_TABLES = 17


def given(seed: int) -> dict[str, pa.Table]:
    """The tables of a seed's query."""
    return tables(seed % KINDS_OF_TABLES)


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


def difference(seed: int) -> str:
    """What is wrong with a seed's query, if anything."""
    text, has_order = query(seed)
    expected = duckdb_rows(text, given(seed))
    found = columnar_nn.sql(text, threads=seed % 2 + 1, **given(seed))
    columns = [map(plain, column.to_pylist()) for column in found.columns]
    rows = list(zip(*columns, strict=True))
    if Counter(rows) != Counter(expected):
        return f"other rows than DuckDB: {text}"
    return f"rows in another order than DuckDB: {text}" if has_order and rows != expected else ""
