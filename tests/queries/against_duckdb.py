"""A random query's rows, beside those that DuckDB gives."""

from __future__ import annotations

from collections import Counter
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


def difference(seed: int, folder: Path | None = None) -> str:
    """What is wrong with a seed's query, if anything; over Parquet files if there is a folder."""
    asked = query(seed)
    named: dict[str, Any] = {**given(seed)}
    all_rows = duckdb_rows(asked.text, named)
    for name, table in named.items() if folder is not None else ():
        named[name] = folder / f"{name}.parquet"
        parquet.write_table(table, named[name], row_group_size=ROW_GROUP_ROWS)
    found = columnar_nn.sql(asked.whole, threads=seed % 2 + 1, **named)
    columns = [map(plain, column.to_pylist()) for column in found.columns]
    rows = list(zip(*columns, strict=True))
    expected = all_rows
    if asked.limit is not None:
        expected = all_rows[asked.offset : asked.offset + asked.limit]
    if asked.has_order:
        right = rows == expected
    elif asked.limit is not None:  # any of them
        right = len(rows) == len(expected) and not Counter(rows) - Counter(all_rows)
    else:
        right = Counter(rows) == Counter(expected)
    return "" if right else f"other rows than DuckDB: {asked.whole}"
