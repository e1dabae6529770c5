"""What a worker of the engine benchmark does beyond running its backend: profiles and peaks."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from adapters.base import Stopwatch
from adapters.columnar_backend import ColumnarBackend
from bench.machine import peak as machine_peak
from bench.workers.session import Session
from columnar_nn.errors import InvalidDataError

MIN_PROFILES = 5


class EngineSession(Session):
    """A session whose backend is the columnar engine."""

    def profile(
        self, images: str, samples: int, batch_size: int, min_seconds: float
    ) -> dict[str, Any]:
        """Runs with and without kernel clocks in turn, at least MIN_PROFILES times each.

        Replies with the kernels as `steps` (columnar_nn.exec.stats.StepStats, work an image),
        `nanoseconds` of each in every profiled run, `profiled` and `plain` seconds of the runs
        of either kind, and `held_bytes`, what the operators held at most.
        """
        backend = self._backend
        assert isinstance(backend, ColumnarBackend)
        batches = list(self._batches(images, samples, batch_size))
        profiled: list[float] = []
        plain: list[float] = []
        nanoseconds: list[list[int]] = []
        self._consume(iter(batches))
        while len(plain) < MIN_PROFILES or sum(plain) < min_seconds:
            start = time.perf_counter()
            task = backend.task(iter(batches))
            for _ in task:
                pass
            profiled.append(time.perf_counter() - start)
            stats = task.stats()
            nanoseconds.append([step.nanoseconds for step in stats.steps])
            plain.append(self._seconds(batches))
        return self._reply(
            steps=[dataclasses.asdict(step) for step in stats.steps],
            nanoseconds=nanoseconds,
            profiled=profiled,
            plain=plain,
            held_bytes=stats.peak_memory_bytes,
        )

    def overhead(
        self, images: str, samples: int, batch_size: int, min_seconds: float
    ) -> dict[str, Any]:
        """Runs with and without kernel clocks in turn, on the same path, as `profile` does.

        Replies with the seconds of the runs of either kind, `clocked` and `plain`, and with those
        in `kernels` of each clocked run.
        """
        backend = self._backend
        assert isinstance(backend, ColumnarBackend)
        batches = list(self._batches(images, samples, batch_size))
        clocked: list[float] = []
        plain: list[float] = []
        kernels: list[float] = []
        self._consume(iter(batches))
        while len(plain) < MIN_PROFILES or sum(plain) < min_seconds:
            clock = backend.time_kernels()
            clocked.append(self._seconds(batches))
            kernels.append(int(clock.sum()) / 1e9)
            backend.kernel_clock = None
            plain.append(self._seconds(batches))
        return self._reply(clocked=clocked, plain=plain, kernels=kernels)

    def _seconds(self, batches: Sequence[pa.RecordBatch]) -> float:
        start = time.perf_counter()
        self._consume(iter(batches))
        return time.perf_counter() - start

    def stream(self, images: str, samples: int, batch_size: int) -> dict[str, Any]:
        """Reads, not maps, one batch after the other, and lets go of each and of its output."""
        rows = self._consume(_read(images, samples, batch_size))
        if rows != samples:
            raise InvalidDataError(f"{rows} rows came out of {samples} images of {images}")
        return self._reply()

    def gflops(self, threads: int) -> dict[str, Any]:
        """Multiply-adds of all threads together: `value` in GFLOP/s."""
        return self._reply(value=machine_peak.gflops(threads))

    def bandwidth(self, kernel: str, num_bytes: int, threads: int) -> dict[str, Any]:
        """Of a memory kernel over `num_bytes` a thread: `value` in GB/s, threads together."""
        return self._reply(value=machine_peak.gigabytes_per_second(kernel, num_bytes, threads))

    def _consume(self, batches: Iterator[pa.RecordBatch]) -> int:
        return sum(output.num_rows for output in self._backend.infer(batches, Stopwatch()))


def _read(path: str, samples: int, batch_size: int) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(path) as file:
        reader = pa.ipc.open_file(file)
        left = samples
        for index in range(reader.num_record_batches):
            batch = reader.get_batch(index)
            for start in range(0, batch.num_rows, batch_size):
                rows = min(batch_size, batch.num_rows - start, left)
                if rows:
                    yield batch.slice(start, rows)
                left -= rows
