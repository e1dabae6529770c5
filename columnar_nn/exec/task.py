"""One run of a plan: its drivers, their threads, its end (velox/exec/Task.h)."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from columnar_nn.errors import UsageError
from columnar_nn.exec import task_threads
from columnar_nn.exec.compiled_plan import CompiledPlan
from columnar_nn.exec.driver import Driver, Progress
from columnar_nn.exec.operators.base import Bridge, DriverContext, Operator, SinkOperator
from columnar_nn.exec.pipelines import Pipeline
from columnar_nn.exec.stats import TaskStats, merged
from columnar_nn.exec.stats_text import plan_with_stats
from columnar_nn.exec.task_threads import TaskThreads
from columnar_nn.exec.trace import Trace
from columnar_nn.exec.waiting import wait_until
from columnar_nn.plan.plan_node import PlanNode
from columnar_nn.shown import Shown, line

SOURCE_SECONDS = 1.0
"""How long a task that ends waits for a driver that its source keeps waiting."""


class Task(Shown):
    """One run of an executable: iterate over it, once, for the batches of output, in order.

    A pipeline that several drivers may run has one on each of the threads, the caller's among them,
    which runs it while it waits for output; the others have one, on the caller's. A thread runs its
    drivers one after the other: pipelines are read in their order. A task over a short stream is
    serial, unless it is profiled: every pipeline has one driver, on the caller's thread, and the
    threads share the work inside the kernels. An error of any driver ends the task and is raised
    from the iterator, once.

    The task ends with its iterator. To stop early, close or drop that, or `close` the task or its
    executable: then the iterator raises UsageError where it would have gone on. The end waits
    for the kernels that run, but leaves a driver behind that its source keeps waiting for more
    than SOURCE_SECONDS: it ends when the source gives something. An interrupt does the same.
    A second iterator is a UsageError, as is one that is read on in the child of a fork.
    """

    def __init__(
        self,
        compiled: CompiledPlan,
        threads: TaskThreads,
        batches: Mapping[str, Iterable[pa.RecordBatch]],
        profile: bool,
        trace: bool,
    ) -> None:
        self._compiled = compiled
        self._threads = threads
        self._profile = profile
        self.trace = Trace(compiled.steps) if trace else None
        self._errors: list[BaseException] = []  # of the drivers on other threads, the first first
        self._iterator: weakref.ref[Generator[pa.RecordBatch, None, None]] | None = None
        self._closed = False
        self._left: set[Driver] = set()  # those that other threads run and have not ended
        self._pipelines: Sequence[Pipeline] = ()
        self._drivers: list[list[Driver]] = []  # of each pipeline, the caller's first
        self._unread: list[deque[int]] = []  # what feeds each, if the caller's driver goes on
        self._bridges: dict[str, Bridge] = {}
        self._changed = threading.Condition()  # notified whenever a blocked driver may go on
        self._started_ns = self._ended_ns = 0
        self._streams = compiled.streams(batches)

    @property
    def plan(self) -> PlanNode:
        """The plan as it runs."""
        return self._compiled.plan

    @property
    def state(self) -> str:
        """Whether it is "not begun", "running" or "over"."""
        if self._ended_ns or self._closed:
            return "over"
        return "running" if self._started_ns else "not begun"

    def __repr__(self) -> str:
        return line(f"Task of {self.plan.name}[{self.plan.id}]:", self.state)

    def _is_serial(self) -> bool:
        threads = self._threads
        if threads.team is None or self._profile:
            return False
        rows_left = task_threads.SHORT_STREAM_ROWS * threads.size
        for stream in self._streams.values():
            rows_left -= stream.expected_rows()
            if rows_left < 0:
                return False
        return True

    def _make_drivers(self) -> None:
        """Drivers of each pipeline, those on other threads at work."""
        compiled, threads = self._compiled, self._threads
        serial = self._is_serial()
        self._pipelines = compiled.serial_pipelines if serial else compiled.pipelines
        self._unread = [deque(pipeline.feeding) for pipeline in self._pipelines]
        counts = [threads.size if p.parallel and not serial else 1 for p in self._pipelines]
        if len(counts) > 1:
            self._make_bridges(counts)
        for number, (pipeline, count) in enumerate(zip(self._pipelines, counts, strict=True)):
            stream = self._streams.get(pipeline.nodes[0].id)
            if stream is not None:
                stream.num_drivers = count
                stream.most_rows = compiled.morsel_rows(pipeline)
            on_drained = None
            if pipeline.consumer is not None:
                on_drained = partial(self._bridges[pipeline.consumer.id].done, pipeline.position)
            context = DriverContext(
                compiled.projections,
                self._streams,
                self._bridges,
                self._profile,
                threads.team if serial else None,
                pipeline.position,
                on_drained,
            )
            self._drivers.append(
                [pipeline.driver(number, context, self.trace) for _ in range(count)]
            )
        others = [drivers[1:] for drivers in self._drivers if len(drivers) > 1]
        if others:
            threads.pool.start(threads.size - 1)
            _on_threads.add(self)
            for mine in zip(*others, strict=True):
                self._left.add(mine[0])
                threads.pool.submit(self._drive, mine)

    def _make_bridges(self, num_drivers: Sequence[int]) -> None:
        """What nodes are fed through by other pipelines, each of so many drivers."""
        fed: dict[str, tuple[type[SinkOperator], list[int]]] = {}
        for pipeline, count in zip(self._pipelines, num_drivers, strict=True):
            if pipeline.consumer is not None and pipeline.sink is not None:
                _, counts = fed.setdefault(pipeline.consumer.id, (pipeline.sink, []))
                counts.append(count)
        for node_id, (sink, counts) in fed.items():
            self._bridges[node_id] = sink.make_bridge(counts, self._changed)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._iterator is not None or self._closed:
            raise UsageError("a task is read once: ask the executable for another with run()")
        iterator = self._batches()
        self._iterator = weakref.ref(iterator)
        return iterator

    def _batches(self) -> Generator[pa.RecordBatch, None, None]:
        pool = self._threads.pool
        try:
            self._threads.begin(self)
            self._started_ns = time.perf_counter_ns()
            self._make_drivers()
            final = self._drivers[-1][0]
            while self._run(len(self._drivers) - 1, final) is Progress.OUTPUT:
                if self._closed:
                    break
                assert final.output is not None
                yield final.output
                if self._closed or pool.forked:
                    break
            self._refuse_if_closed()
            self._raise_error()
        finally:
            self._end()

    def _refuse_if_closed(self) -> None:
        if self._threads.pool.forked:
            raise UsageError("a forked process cannot go on with its parent's task: prepare a plan")
        if self._closed:
            raise UsageError("this task has been closed, or its executable, before its end")

    def to_table(self) -> pa.Table:
        """All of the output."""
        return pa.Table.from_batches(list(self), self.plan.output_type)

    def __arrow_c_schema__(self) -> object:
        """The output's columns, through Arrow's C interface."""
        return self.plan.output_type.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The output, once, through Arrow's C interface: for pandas, polars, DuckDB and others."""
        reader = pa.RecordBatchReader.from_batches(self.plan.output_type, self)
        return reader.__arrow_c_stream__(requested_schema)

    def _run(self, number: int, driver: Driver) -> Progress:
        """Runs the caller's driver of a pipeline until it has output or is finished.

        While it is blocked, the caller runs its drivers of the pipelines that feed this one.
        """
        while True:
            progress = driver.run_once()
            if progress is Progress.MOVED:
                continue
            if progress is not Progress.BLOCKED:
                return progress
            self._raise_error()
            assert driver.blocked is not None
            self._help(number, (driver.blocked,))

    def _help(self, number: int, blocked: tuple[Operator, ...]) -> None:
        """Runs the caller's drivers of what feeds pipeline `number`.

        Until one of `blocked` may go on: the operator of that pipeline which waits, then those for
        which this thread runs it. Other threads may need any of them to go on first.
        """
        unread = self._unread[number]
        while blocked[0].is_blocked():
            if not unread:
                self._wait(blocked)
                return
            driver = self._drivers[unread[0]][0]
            progress = driver.run_once()
            if progress is Progress.FINISHED:
                self._finish(unread.popleft())
            elif progress is Progress.BLOCKED:
                assert driver.blocked is not None
                if driver.blocked is driver.sink:
                    self._wait((driver.sink, *blocked))
                else:
                    self._help(unread[0], (driver.blocked, *blocked))
                if not all(operator.is_blocked() for operator in blocked):
                    return

    def _finish(self, number: int) -> None:
        """Closes the caller's driver of a pipeline, and of what fed it: nobody wants the rest."""
        self._drivers[number][0].close()
        unread = self._unread[number]
        while unread:
            self._finish(unread.popleft())

    def _wait(self, blocked: Sequence[Operator]) -> None:
        """Returns once one of them may go on."""
        wait_until(self._changed, lambda: not all(o.is_blocked() for o in blocked))

    def _drive(self, drivers: Sequence[Driver]) -> None:
        """A thread's work: its drivers, each to the end."""
        for driver, following in zip(drivers, (*drivers[1:], None), strict=True):
            try:
                while (progress := driver.run_once()) is not Progress.FINISHED:
                    if progress is Progress.BLOCKED:
                        assert driver.blocked is not None
                        self._wait((driver.blocked,))
            except BaseException as error:
                self._errors.append(error)
                self._stop()
            finally:
                driver.close()
                ended = self._threads.driver_ended
                with ended:
                    self._left.discard(driver)
                    if following is not None:
                        self._left.add(following)
                    ended.notify_all()

    def _raise_error(self) -> None:
        if self._errors:
            raise self._errors[0]

    def close(self) -> None:
        """Stops the drivers and waits for them; the statistics remain.

        While another thread waits for the iterator, or the source calls this, it does not wait.
        """
        self._closed = True
        iterator: Any = self._iterator and self._iterator()
        if iterator is None or not iterator.gi_running:
            self._end()
        elif not self._threads.pool.forked:
            self._stop()

    def _stop(self) -> None:
        """Tells all drivers that nobody wants any more."""
        for stream in self._streams.values():
            stream.close()
        for bridge in self._bridges.values():
            bridge.close()

    def _end(self) -> None:
        """Ends the drivers, and gives the threads back, once."""
        if self._ended_ns or self._threads.pool.forked:
            return
        try:
            self._stop_drivers()
        finally:
            _on_threads.discard(self)
            for drivers in self._drivers:
                for driver in drivers:
                    if driver not in self._left:
                        driver.close()
            self._ended_ns = time.perf_counter_ns()
            self._threads.end(self, bool(self._left))

    def _stop_drivers(self) -> None:
        """Stops those on other threads, and waits for all that can end by themselves."""
        self._stop()
        if not self._left:
            return
        ended, patience_ends = self._threads.driver_ended, time.monotonic() + SOURCE_SECONDS
        with ended:
            while self._left:
                fetching = all(driver.source.is_fetching for driver in self._left)
                if fetching and time.monotonic() > patience_ends:
                    return
                ended.wait(SOURCE_SECONDS / 10)

    def stats(self) -> TaskStats:
        """What the operators have done so far, merged over drivers."""
        operators = tuple(
            o for drivers in self._drivers for o in merged(driver.stats for driver in drivers)
        )
        end = self._ended_ns or time.perf_counter_ns()
        wall = end - self._started_ns if self._started_ns else 0
        running = [o for drivers in self._drivers for d in drivers for o in d.operators]
        return TaskStats(operators, self._compiled.step_stats(running), wall)

    def explain(self) -> str:
        """The plan as it ran, below each node what was done there, as EXPLAIN ANALYZE has it."""
        return plan_with_stats(self.plan, self.stats())


_on_threads: set[Task] = set()
"""Tasks with drivers on other threads."""


@atexit.register
def _stop_all() -> None:
    """Ends the drivers before the interpreter does, which frees what their kernels use."""
    for task in list(_on_threads):
        task.close()
