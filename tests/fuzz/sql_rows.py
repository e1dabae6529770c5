"""Random queries in SQL, in DuckDB and in the columnar engine.

There they are over Parquet files, or over columns against pages that no one may touch.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from kernels.guarded_memory import guarded_array
from queries.against_duckdb import difference, given, in_files


def check(seed: int, folder: Path) -> str:
    """How the rows of the seed's query differ."""
    tables = given(seed)
    return difference(seed, in_files(tables, folder) if seed % 2 else _guarded(tables, seed))


def _guarded(tables: dict[str, pa.Table], seed: int) -> dict[str, pa.Table]:
    return {
        name: pa.table(
            {
                column: guarded_array(table.column(column).chunk(0), at_end=seed % 4 == 0)
                for column in table.column_names
            }
        )
        for name, table in tables.items()
    }
