"""What a process of a crew does with its backend: its share of a run, together with the others."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
import pyarrow as pa

from adapters.base import Stopwatch
from bench.workers.partitioning import Part
from bench.workers.session import Session, involuntary_switches

_MAX_RUNS = 1000
_SPIN_S = 0.002


class CrewSession(Session):
    """A session that can also run its parts of the images at a time that all of a crew know."""

    def share(
        self,
        images: str,
        parts: Sequence[Part],
        batch_size: int,
        *,
        at: float,
        min_runs: int = 1,
        min_seconds: float = 0.0,
        outputs: str | None = None,
    ) -> dict[str, Any]:
        """From `at` on, by time.monotonic, runs the parts until both limits are reached.

        Replies with `spans`, the beginning and the end of every run, with its `switches` as
        turn.Turn has them, and `rss_bytes` and `pss_bytes` as turn.Share does. With `outputs` the
        last run's results are written there, as an Arrow file.
        """
        batches = [batch for part in parts for batch in self._part(images, part, batch_size)]
        collected: list[pa.RecordBatch] = []
        spans: list[tuple[float, float]] = []
        switches: list[int] = []
        gc.collect()
        gc.disable()
        try:
            _wait_until(at)
            while not spans or len(spans) < min_runs or spans[-1][1] - at < min_seconds:
                switched = involuntary_switches()
                start = time.monotonic()
                collected = list(self._backend.infer(iter(batches), Stopwatch()))
                spans.append((start, time.monotonic()))
                switches.append(involuntary_switches() - switched)
                if len(spans) >= max(min_runs, _MAX_RUNS):
                    break
        finally:
            gc.enable()
        self._check(collected, sum(count for _, count in parts))
        if outputs is not None:
            self._write(collected, outputs)
        memory = psutil.Process().memory_full_info()
        return self._reply(
            spans=spans,
            switches=switches,
            rss_bytes=memory.rss,
            pss_bytes=getattr(memory, "pss", None),
        )

    def _part(self, images: str, part: Part, batch_size: int) -> Iterator[pa.RecordBatch]:
        """Its batches; none has images of two parts."""
        start, count = part
        rows = self._rows(images, start, count).combine_chunks()
        yield from rows.to_batches(max_chunksize=batch_size)


def _wait_until(at: float) -> None:
    """Sleeps for the most part: waking up takes a time of its own."""
    while (left := at - time.monotonic()) > 0:
        if left > _SPIN_S:
            time.sleep(left - _SPIN_S)
