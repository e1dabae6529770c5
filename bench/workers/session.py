"""What a worker does with its backend: import it, build it, run it and take the times."""

from __future__ import annotations

import gc
import itertools
import pickle
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters import registry
from adapters.base import Backend, Settings, Stopwatch
from bench.workers import open_loop
from bench.workers.turn import Turn
from columnar_nn.errors import InvalidDataError

PRIMING_LIMIT_S = 0.1
"""A turn whose runs are shorter begins with an untimed one: caches and thread pools were
other workers' a moment ago, which a long run does not notice."""

_MAX_RUNS_PER_TURN = 1000

_DIGITS = 7
"""Latencies are told to 0.1 us: there are many of them, and a call of the clock takes as long."""


class WrongOutputError(Exception):
    """What a backend gave is not the graph's outputs: other names, types or numbers of rows."""


class Session:
    """One backend from import to its last run; the methods are the worker's commands.

    Every reply carries `peak_rss_bytes`, the process's largest resident memory so far.
    """

    def __init__(self, started: float) -> None:
        """`started` is when the process was started, by time.monotonic (one clock for all)."""
        self._started = started
        self._images: dict[str, pa.Table] = {}
        self._backend_class: type[Backend]
        self._backend: Backend

    def import_framework(self, backend: str) -> dict[str, Any]:
        """Imports the adapter and its framework: `seconds`.

        Replies also with the `process_seconds` and `start_rss_bytes` of the time before.
        """
        process_seconds = time.monotonic() - self._started
        start_rss_bytes = peak_rss_bytes()
        start = time.perf_counter()
        self._backend_class = registry.load(backend)
        self._backend_class.import_framework()
        seconds = time.perf_counter() - start
        return self._reply(
            seconds=seconds, process_seconds=process_seconds, start_rss_bytes=start_rss_bytes
        )

    def build(
        self,
        graph: str,
        configuration: str,
        threads: int,
        batch_size: int,
        algorithm: str,
        model_file: str | None = None,
    ) -> dict[str, Any]:
        """Builds the backend for the pickled graph at path `graph`: `seconds`.

        `model_file` is the same network as an ONNX file, if that was written.
        """
        with Path(graph).open("rb") as file:
            network = pickle.load(file)
        settings = Settings(configuration, threads, batch_size, algorithm, model_file)
        start = time.perf_counter()
        self._backend = self._backend_class(network, settings)
        return self._reply(seconds=time.perf_counter() - start)

    def run(
        self,
        images: str,
        samples: int,
        batch_size: int,
        *,
        min_runs: int = 1,
        min_seconds: float = 0.0,
        prime: bool = False,
        outputs: str | None = None,
    ) -> dict[str, Any]:
        """Runs the first `samples` rows of the Arrow file `images` in batches of `batch_size`.

        Replies with `times`, `phases` and `switches` as turn.Turn has them, and `since_start`,
        the seconds from process start to the end. With `outputs`, the last run's results are
        written there as an Arrow file, after the clock has stopped.
        """
        batches = self._batches(images, samples, batch_size)
        collected: list[pa.RecordBatch] = []

        def infer(stopwatch: Stopwatch) -> None:
            collected.clear()
            collected.extend(self._backend.infer(iter(batches), stopwatch))

        turn = take_turn(infer, min_runs, min_seconds, prime)
        since_start = time.monotonic() - self._started
        self._check(collected, samples)
        if outputs is not None:
            self._write(collected, outputs)
        return self._reply(
            times=turn.times, phases=turn.phases, switches=turn.switches, since_start=since_start
        )

    def answer(
        self,
        images: str,
        rows: int,
        samples: int,
        batch_size: int,
        *,
        min_runs: int,
        min_seconds: float,
        prime: bool,
    ) -> dict[str, Any]:
        """Queries of `samples` images, one after the other, each run as `run` would.

        They go through the first `rows` of the file again and again. Replies as `run` does.
        """
        queries = itertools.cycle(self._queries(images, rows, samples, batch_size))

        def infer(stopwatch: Stopwatch) -> None:
            self._run_query(next(queries), stopwatch)

        turn = take_turn(infer, min_runs, min_seconds, prime)
        return self._reply(times=turn.times, phases=turn.phases, switches=turn.switches)

    def serve(
        self,
        images: str,
        rows: int,
        samples: int,
        batch_size: int,
        *,
        rate: float,
        queries: int,
        seed: int,
    ) -> dict[str, Any]:
        """As many of these queries as are wanted, as they arrive (bench/workers/open_loop.py).

        Replies with `times` and `phases`: the latency of each, and the wait for its turn.
        """
        prepared = self._queries(images, rows, samples, batch_size)
        self._run_query(prepared[-1], Stopwatch())  # untimed, as what `take_turn` primes with
        times, waited = open_loop.serve(
            lambda number: self._run_query(prepared[number % len(prepared)], Stopwatch()),
            open_loop.arrivals(rate, queries, seed),
        )
        return self._reply(
            times=[round(seconds, _DIGITS) for seconds in times],
            phases=[{"waiting": round(seconds, _DIGITS)} for seconds in waited],
            switches=[],
        )

    def describe(self) -> dict[str, Any]:
        """What the backend says it really ran, as adapters.base.Description."""
        description = self._backend.describe()
        return self._reply(
            versions=dict(description.versions),
            precision=description.precision,
            layout=description.layout,
            algorithm=description.algorithm,
            threads=description.threads,
            denormals=description.denormals,
            notes=list(description.notes),
        )

    def cpu_seconds(self) -> dict[str, Any]:
        """What this process has had of the CPU since it began, all of its threads: `value`."""
        return self._reply(value=time.process_time())

    def close(self) -> dict[str, Any]:
        """Releases the backend, if it was built."""
        if hasattr(self, "_backend"):
            self._backend.close()
        return self._reply()

    def _queries(
        self, images: str, rows: int, samples: int, batch_size: int
    ) -> list[Sequence[pa.RecordBatch]]:
        """The batches of each query, as many as the rows suffice for."""
        starts = range(0, rows - samples + 1, samples)
        return [
            self._rows(images, start, samples).to_batches(max_chunksize=batch_size)
            for start in starts
        ]

    def _run_query(self, query: Sequence[pa.RecordBatch], stopwatch: Stopwatch) -> None:
        for _ in self._backend.infer(iter(query), stopwatch):
            pass

    def _check(self, outputs: Sequence[pa.RecordBatch], samples: int) -> None:
        num_rows = sum(batch.num_rows for batch in outputs)
        if num_rows != samples:
            raise WrongOutputError(f"{num_rows} rows came out of {samples} images")
        schema = outputs[0].schema
        expected = [spec.name for spec in self._backend.graph.outputs]
        if schema.names != expected:
            raise WrongOutputError(f"outputs are {schema.names}, the graph's are {expected}")
        for field in schema:
            if not isinstance(field.type, pa.FixedShapeTensorType):
                raise WrongOutputError(f"output {field.name} is {field.type}, not a tensor column")

    @staticmethod
    def _write(outputs: Sequence[pa.RecordBatch], path: str) -> None:
        with pa.ipc.new_file(path, outputs[0].schema) as writer:
            for batch in outputs:
                writer.write_batch(batch)

    def _batches(self, path: str, samples: int, batch_size: int) -> Sequence[pa.RecordBatch]:
        batches: list[pa.RecordBatch] = self._rows(path, 0, samples).to_batches(
            max_chunksize=batch_size
        )
        return batches

    def _rows(self, path: str, start: int, count: int) -> pa.Table:
        if path not in self._images:
            # Only the latest file stays mapped: a removed one takes up space until it is not.
            self._images = {path: pa.ipc.open_file(pa.memory_map(path)).read_all()}
        rows = self._images[path].slice(start, count)
        if rows.num_rows != count:
            raise InvalidDataError(f"{path} has {start + rows.num_rows} rows, not {start + count}")
        return rows

    @staticmethod
    def _reply(**values: Any) -> dict[str, Any]:
        return {**values, "peak_rss_bytes": peak_rss_bytes()}


def take_turn(
    infer: Callable[[Stopwatch], None],
    min_runs: int,
    min_seconds: float,
    prime: bool,
    clock: Callable[[], float] = time.perf_counter,
    stopwatch_for: Callable[[], Stopwatch] = Stopwatch,
) -> Turn:
    """Times `infer` until both `min_runs` and `min_seconds` are reached.

    The garbage collector runs before the first run and not during any. Each run has a stopwatch of
    its own.
    """
    times: list[float] = []
    phases: list[dict[str, float]] = []
    switches: list[int] = []
    if prime:
        infer(stopwatch_for())
    gc.collect()
    gc.disable()
    try:
        total = 0.0
        while len(times) < min_runs or total < min_seconds:
            stopwatch = stopwatch_for()
            switched = involuntary_switches()
            start = clock()
            infer(stopwatch)
            seconds = clock() - start
            switches.append(involuntary_switches() - switched)
            times.append(seconds)
            phases.append(dict(stopwatch.seconds))
            total += seconds
            if len(times) >= max(min_runs, _MAX_RUNS_PER_TURN):
                break
    finally:
        gc.enable()
    return Turn(times, phases, switches)


def involuntary_switches() -> int:
    """How often threads of this process have had to leave their CPUs so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def peak_rss_bytes() -> int:
    """Largest resident memory of this process so far.

    On Linux from VmHWM: ru_maxrss would start at the parent's size, which exec inherits.
    """
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
