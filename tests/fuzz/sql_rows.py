"""Random queries in SQL, in DuckDB and, over Parquet files, in the columnar engine."""

from __future__ import annotations

from pathlib import Path

from queries.against_duckdb import difference


def check(seed: int, folder: Path) -> str:
    """How the rows of the seed's query differ."""
    return difference(seed, folder)
