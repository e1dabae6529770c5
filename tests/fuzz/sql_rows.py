"""Random queries in SQL, in DuckDB and in the columnar engine.

There they are over Parquet files, or over columns against pages that no one may touch.
"""

from __future__ import annotations

from pathlib import Path

from kernels.guarded_memory import guarded_table
from queries.against_duckdb import difference, given, in_files


def check(seed: int, folder: Path) -> str:
    """How the rows of the seed's query differ."""
    tables = given(seed)
    if seed % 2:
        return difference(seed, in_files(tables, folder))
    at_end = seed % 4 == 0
    return difference(seed, {name: guarded_table(t, at_end) for name, t in tables.items()})
