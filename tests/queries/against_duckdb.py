"""A random query's rows, beside those that DuckDB gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import parquet
from queries.random_query import query, tables

import columnar_nn

KINDS_OF_TABLES = 17
ROW_GROUP_ROWS = 50
"""Few, so that conditions leave some out."""


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


def in_files(tables: dict[str, pa.Table], folder: Path) -> dict[str, Path]:
    """The tables as Parquet files in a folder."""
    for name, table in tables.items():
        parquet.write_table(table, folder / f"{name}.parquet", row_group_size=ROW_GROUP_ROWS)
    return {name: folder / f"{name}.parquet" for name in tables}


def difference(seed: int, tables: Mapping[str, Any] | None = None) -> str:
    """What is wrong with a seed's query, if anything; over its tables, wherever `tables` has them.

    Of a limit without an order any of the rows are right.
    """
    asked, named = query(seed), tables or given(seed)
    all_rows = duckdb_rows(asked.text, given(seed))
    found = columnar_nn.sql(asked.whole, threads=seed % 2 + 1, **named)
    columns = [map(plain, column.to_pylist()) for column in found.columns]
    rows = list(zip(*columns, strict=True))
    expected = all_rows
    if asked.limit is not None:
        expected = all_rows[asked.offset : asked.offset + asked.limit]
    if asked.has_order:
        right = rows == expected
    elif asked.limit is not None:
        right = len(rows) == len(expected) and not Counter(rows) - Counter(all_rows)
    else:
        right = Counter(rows) == Counter(expected)
    return "" if right else f"other rows than DuckDB: {asked.whole}"
