"""The columnar engine, or a version of it that takes ENGINE_SLOWED_BY times as long in addition."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator

import pyarrow as pa

from adapters.base import Stopwatch
from adapters.columnar_backend import ColumnarBackend

SLOWED_BY = float(os.environ.get("ENGINE_SLOWED_BY", "0"))


class Engine(ColumnarBackend):
    """One name for both versions, so that their cells are the same."""

    def infer(
        self, batches: Iterable[pa.RecordBatch], stopwatch: Stopwatch
    ) -> Iterator[pa.RecordBatch]:
        started = time.perf_counter()
        yield from super().infer(batches, stopwatch)
        now = time.perf_counter()
        until = now + SLOWED_BY * (now - started)
        while time.perf_counter() < until:
            pass
