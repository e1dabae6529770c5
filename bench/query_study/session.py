"""What a worker does with its engine of queries: import it, open files, run and take the times."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pyarrow as pa

from adapters.base import Settings, Stopwatch
from adapters.queries import registry
from adapters.queries.engine import QueryEngine, stopwatch
from adapters.queries.query import Query
from bench.results.schema import SQL_PARTS
from bench.workers.session import WrongOutputError, peak_rss_bytes, take_turn

REST = SQL_PARTS[-1]


class QueryStudySession:
    """One engine on one query, over files of several sizes; the methods are the worker's commands.

    Every reply carries `peak_rss_bytes`, the process's largest resident memory so far.
    """

    def __init__(self, started: float) -> None:
        """`started` is when the process was started, by time.monotonic."""
        self._started = started
        self._engines: dict[int, QueryEngine] = {}
        self._engine_class: type[QueryEngine]

    def import_framework(self, backend: str) -> dict[str, Any]:
        """Imports an engine: `seconds`, and of before `process_seconds` and `start_rss_bytes`."""
        before = {
            "process_seconds": time.monotonic() - self._started,
            "start_rss_bytes": peak_rss_bytes(),
        }
        start = time.perf_counter()
        self._engine_class = registry.load(backend)
        self._engine_class.import_framework()
        return self._reply(seconds=time.perf_counter() - start, **before)

    def open(
        self,
        query: dict[str, Any],
        tables: dict[str, str],
        samples: int,
        configuration: str,
        threads: int,
        batch_size: int,
        algorithm: str,
    ) -> dict[str, Any]:
        """Prepares the query over files of `samples` images: `seconds`."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in query.items()
        }
        settings = Settings(configuration, threads, batch_size, algorithm)
        start = time.perf_counter()
        self._engines[samples] = self._engine_class(Query(**fields), tables, settings)
        return self._reply(seconds=time.perf_counter() - start)

    def run(
        self, samples: int, *, min_runs: int = 1, min_seconds: float = 0.0, prime: bool = False
    ) -> dict[str, Any]:
        """Runs the query over the files of `samples` images.

        Replies with `times`, `phases` and `switches` as turn.Turn has them, what is in no part
        being the REST; with `since_start`; and with the result, its `names` and its `rows`, which
        are the same in every run or this fails.
        """
        engine = self._engines[samples]
        found: list[pa.Table] = []

        def run(stopwatch: Stopwatch) -> None:
            found.append(engine.run(stopwatch))

        turn = take_turn(run, min_runs, min_seconds, prime, stopwatch_for=stopwatch)
        phases = [
            {**parts, REST: seconds - sum(parts.values())}
            for parts, seconds in zip(turn.phases, turn.times, strict=True)
        ]
        since_start = time.monotonic() - self._started
        first, *others = [table.to_pydict() for table in found]
        if any(other != first for other in others):
            raise WrongOutputError("two runs gave different rows")
        return self._reply(
            times=turn.times,
            phases=phases,
            switches=turn.switches,
            since_start=since_start,
            names=list(first),
            rows=list(zip(*first.values(), strict=True)),
        )

    def describe(self) -> dict[str, Any]:
        """What the engine says it really ran, as adapters.base.Description."""
        engine = next(iter(self._engines.values()))
        return self._reply(**dataclasses.asdict(engine.describe()))

    def close(self) -> dict[str, Any]:
        """Releases what was opened."""
        for engine in self._engines.values():
            engine.close()
        return self._reply()

    @staticmethod
    def _reply(**values: Any) -> dict[str, Any]:
        return {**values, "peak_rss_bytes": peak_rss_bytes()}
