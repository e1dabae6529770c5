"""DuckDB over Parquet files: rows as Arrow, and what its operators took."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Operator:
    """One of a plan's: its type, what it reads if it scans, the columns that it projects.

    `seconds` are wall time, of all threads together.
    """

    kind: str
    function: str
    projections: tuple[str, ...]
    seconds: float


class Database:
    """A connection with Parquet files as views, by name, on so many threads.

    Its operators' clocks are on. It keeps what it knows of a file's layout, not its rows.
    """

    def __init__(self, tables: Mapping[str, str], threads: int) -> None:
        import duckdb

        self.version: str = duckdb.__version__
        self.connection = duckdb.connect()
        self.connection.execute(f"SET threads = {threads}")
        for name, path in tables.items():
            quoted = path.replace("'", "''")
            self.connection.execute(f"CREATE VIEW {name} AS FROM read_parquet('{quoted}')")
        self.connection.execute("SET enable_profiling = 'no_output'")

    def rows(self, sql: str) -> pa.Table:
        """The rows of a query."""
        table: pa.Table = self.connection.sql(sql).to_arrow_table()
        return table

    def operators(self) -> list[Operator]:
        """Those of the last query."""
        return list(_operators(json.loads(self.connection.get_profiling_information())["operator"]))

    def close(self) -> None:
        """Ends the connection."""
        self.connection.close()


def _operators(nodes: Sequence[Mapping[str, Any]]) -> Iterator[Operator]:
    for node in nodes:
        told = node["extra_info"]
        projections = told.get("Projections", ())
        yield Operator(
            node["type"],
            told.get("Function", ""),
            (projections,) if isinstance(projections, str) else tuple(projections),
            node["timing"],
        )
        yield from _operators(node.get("children", ()))
