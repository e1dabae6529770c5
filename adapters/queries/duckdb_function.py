"""DuckDB with the network inside: the columnar engine's kernels as a function that it calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import pyarrow as pa

from adapters.base import Configuration, Description, Stopwatch
from adapters.queries.duckdb import Database, Operator
from adapters.queries.engine import CONVERSION, NETWORK, RELATIONAL, SCAN, QueryEngine
from columnar_nn.integrations.duckdb import register
from columnar_nn.integrations.prepared import PREDICTED
from columnar_nn.kernels.host import can_flush_denormals


class DuckDbFunction(QueryEngine):
    """The whole query in DuckDB, to which each network is a function of Arrow vectors."""

    name = "duckdb+columnar"
    packages: ClassVar = {"duckdb": "duckdb"}
    configurations: ClassVar = {
        "function": Configuration(
            "DuckDB runs the query and calls the columnar engine for the networks, as a function "
            "of vectors from its own threads",
            "best",
        )
    }

    def _build(self) -> None:
        self._calls: list[tuple[str, float]] = []
        self._database = Database(self.tables, self.settings.threads)
        for network in self.query.networks:
            register(
                self._database.connection,
                network,
                network,
                output=PREDICTED,
                phase=self._phase,
            )
        # else DuckDB would filter by a class before it has it, and call the network twice
        self._sql = self.query.whole("{}(image)", "AS MATERIALIZED")

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        """Called from several threads, which take turns at adding to a list."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._calls.append((name, time.perf_counter() - start))

    def run(self, stopwatch: Stopwatch) -> pa.Table:
        """As DuckDB tells it of its operators, and the function of what is the network's.

        The rest of the operator that calls it is conversion: into Python and back, and waiting for
        the interpreter's lock.
        """
        self._calls.clear()
        rows = self._database.rows(self._sql)
        seconds, threads = stopwatch.seconds, self.settings.threads
        network = sum(taken for name, taken in self._calls if name == "compute")
        seconds[NETWORK] += network / threads
        seconds[CONVERSION] -= network / threads
        for operator in self._database.operators():
            seconds[self._part(operator)] += operator.seconds / threads
        return rows

    def _part(self, operator: Operator) -> str:
        if operator.kind == "TABLE_SCAN":
            return SCAN
        calls = {*operator.projections} == {*self.query.keys, *self.query.networks}
        return CONVERSION if calls or operator.kind == "RESULT_COLLECTOR" else RELATIONAL

    def describe(self) -> Description:
        """DuckDB's version; the network is the columnar engine's default."""
        return Description(
            versions={"duckdb": self._database.version},
            precision="float32",
            layout="the columnar engine's",
            algorithm="auto",
            threads=self.settings.threads,
            denormals="flushed" if can_flush_denormals() else "kept",
            notes=(
                "classes are an AS MATERIALIZED part of the query: each network is called once a "
                "row, after joins and filters that need none",
            ),
        )

    def close(self) -> None:
        """Ends the connection."""
        self._database.close()
