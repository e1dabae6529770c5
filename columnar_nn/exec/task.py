"""A plan made ready to run, and one run of it (velox/exec/Task.h, LocalPlanner.cpp).

    executable = prepare(plan, threads=2)
    for batch in executable.run():
        ...

`prepare` does once what does not depend on the data: rewrites, kernels bound and compiled.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from columnar_nn.errors import UsageError
from columnar_nn.exec import pipelines
from columnar_nn.exec.driver import Driver, Progress
from columnar_nn.exec.operators.base import Operator
from columnar_nn.exec.operators.local_exchange import LocalExchange, LocalPartition, OrderedExchange
from columnar_nn.exec.operators.table_scan import ColumnSelection, SharedSource, Source
from columnar_nn.exec.pipelines import Parts
from columnar_nn.exec.projection import Projection
from columnar_nn.exec.stats import StepStats, TaskStats, fixed_row_bytes, merged
from columnar_nn.exec.trace import Trace
from columnar_nn.kernels import Team, Threads
from columnar_nn.kernels.placement import Placement
from columnar_nn.plan import rewrites
from columnar_nn.plan.nodes import (
    AggregationNode,
    LocalPartitionNode,
    PlanNode,
    ProjectNode,
    nodes,
)


def prepare(
    plan: PlanNode,
    threads: int = 1,
    fusion: str = "pipeline",
    algorithm: str = "auto",
    without: Collection[str] = (),
    keep_denormals: bool = False,
) -> Executable:
    """The plan rewritten for a fusion level, algorithm and number of threads, and compiled.

    `without` names rewrite rules that are left out (`rewrites.RULES`). Kernels take denormals for
    zero, unless `keep_denormals`. Raises UsageError for an unknown fusion level or algorithm, and
    for less than one thread.
    """
    if threads < 1:
        raise UsageError(f"cannot run on {threads} threads: 1 or more")
    rewritten = rewrites.apply(plan, threads, fusion, algorithm, without)
    return Executable(rewritten, threads, keep_denormals)


SHORT_STREAM_ROWS = 256
"""Rows for each thread up to which a stream is not worth drivers on other threads.

Drivers take turns with the interpreter's lock, each for every morsel of its own; one driver, whose
kernels the threads share, takes it once a batch, but the others wait meanwhile. plain9 in batches
of 128, how many times as fast one driver is as many: 512 images 1.9 on 16 threads, 1.2 on 8, 1.06
on 4, 1.04 on 2; 8,000 images 0.97, 0.98, 0.93, and 2,000 on 2 threads 0.96.
"""

SOURCE_SECONDS = 1.0
"""How long a task that ends waits for a driver that its source keeps waiting."""


class Executable:
    """A plan as it will run, its kernels bound and loaded.

    It runs any number of tasks, one at a time, from any thread: threads that work at the same time
    have an executable each. UsageError is raised from a task that begins while another is not yet
    read to its end, and by any use after `close` or in the child of a fork. A task is over when its
    iterator is at its end, has raised an error, is closed or dropped.

    Threads, and the scratch memory that they keep, live as long as the executable does.
    """

    def __init__(self, plan: PlanNode, threads: int, keep_denormals: bool) -> None:
        self.plan = plan
        self.output_type = plan.output_type
        self.chain = tuple(nodes(plan))[::-1]
        self.row_bytes = {node.id: fixed_row_bytes(node.output_type) for node in self.chain}
        asks_by_name = len(self.chain) > 1 and isinstance(
            self.chain[1], (ProjectNode, AggregationNode)
        )
        self.scan_columns = ColumnSelection(self.chain[0].output_type, not asks_by_name)
        self.threads = threads
        self.projections: dict[str, Projection] = {}
        for node in self.chain:
            projection = pipelines.projection(node, keep_denormals)
            if projection is not None:
                projection.prepare()
                self.projections[node.id] = projection
        self.serial_parts = pipelines.parts(
            n for n in self.chain if not isinstance(n, LocalPartitionNode)
        )
        self.parts = pipelines.parts(self.chain)
        self._lock = threading.RLock()  # a finalizer may end a task while another begins
        self._running: Task | None = None
        self._closed = False
        self.driver_ended = threading.Condition()
        self._make_threads()

    def _make_threads(self) -> None:
        self.pool = Threads(self.threads - 1)
        self.team = Team(self.threads, self.pool) if self.threads > 1 else None

    @property
    def steps(self) -> tuple[StepStats, ...]:
        """The work a row of every kernel step of every ProjectNode, without times."""
        return tuple(
            replace(step, plan_node_id=node_id)
            for node_id, projection in self.projections.items()
            for step in projection.steps
        )

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Where each kernel program of a ProjectNode keeps an image's intermediate tensors."""
        projections = self.projections.values()
        return tuple(p.placement for projection in projections for p in projection.programs)

    def run(
        self,
        batches: Mapping[str, Iterable[pa.RecordBatch]] | None = None,
        profile: bool = False,
        trace: bool = False,
    ) -> Task:
        """A task that has not begun; `batches` replaces what scans read, by plan node id.

        With `profile` kernels and the operators' CPU time are timed, with `trace` every call of an
        operator is recorded too.
        """
        self._refuse_if_over()
        return Task(self, batches or {}, profile or trace, trace)

    def _refuse_if_over(self) -> None:
        if self.pool.forked:
            raise UsageError("a forked process cannot use its parent's executable: prepare its own")
        if self._closed:
            raise UsageError("this executable has been closed: prepare another")

    def begin(self, task: Task) -> None:
        """Gives the threads to a task until it ends; raises UsageError if they are not free."""
        self._refuse_if_over()  # after a fork the lock may be held by a thread that is no more
        with self._lock:
            self._refuse_if_over()
            if self._running is not None:
                raise UsageError(
                    "this executable runs another task: read that to its end or close it first; "
                    "threads that work at the same time need an executable each"
                )
            self._running = task

    def end(self, task: Task, left_behind: bool) -> None:
        """Takes the threads back; `left_behind` says that drivers still occupy some."""
        with self._lock:
            if self._running is not task:
                return
            if left_behind:
                self.pool.stop()
                self._make_threads()
            self._running = None
            if self._closed:
                self.pool.stop()

    def close(self) -> None:
        """Ends the threads, once a task that runs has ended; that is closed."""
        self._closed = True
        if self.pool.forked:
            return
        with self._lock:
            running = self._running
            if running is None:
                self.pool.stop()
        if running is not None:
            running.close()

    def __enter__(self) -> Executable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Task:
    """One run of an executable: iterate over it, once, for the batches of output, in order.

    The drivers of pipeline 0 run on `threads` threads, one of which is the caller's, while it
    waits for output; the others run on the caller's. A task over a short stream is serial,
    unless it is profiled: one driver on the caller's thread runs all operators, and the
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
        executable: Executable,
        batches: Mapping[str, Iterable[pa.RecordBatch]],
        profile: bool,
        trace: bool,
    ) -> None:
        self._executable = executable
        self._profile = profile
        self.trace = Trace(self._kernel_labels()) if trace else None
        self._team: Team | None = None  # given to the operators of a serial task
        self._errors: list[BaseException] = []  # of the drivers on other threads, the first first
        self._iterator: weakref.ref[Generator[pa.RecordBatch, None, None]] | None = None
        self._closed = False
        self._left: set[Driver] = set()  # drivers on other threads that have not ended
        self._pipelines: list[list[Driver]] = []
        self._exchanges: list[OrderedExchange] = []
        self._started_ns = self._ended_ns = 0
        self._source = SharedSource(
            pipelines.stream(executable.chain[0], batches), executable.scan_columns
        )

    def _kernel_labels(self) -> dict[str, tuple[tuple[str, str], ...]]:
        return {
            node_id: tuple((step.label, step.kernel) for step in projection.steps)
            for node_id, projection in self._executable.projections.items()
        }

    def _is_serial(self) -> bool:
        executable = self._executable
        if executable.team is None or self._profile:
            return False
        return self._source.expected_rows() <= SHORT_STREAM_ROWS * executable.threads

    def _make_pipelines(self) -> None:
        """Drivers of each part of the plan."""
        executable = self._executable
        parts = executable.parts
        if self._is_serial():
            parts, self._team = executable.serial_parts, executable.team
        for index in range(len(parts)):
            parallel = index == 0 and len(parts) > 1
            num_drivers = executable.threads if parallel else 1
            if parallel:
                self._source.num_drivers = num_drivers
            if index + 1 < len(parts):
                self._exchanges.append(OrderedExchange(num_drivers))
            self._pipelines.append([self._driver(parts, index) for _ in range(num_drivers)])
        others = self._pipelines[0][1:]
        if others:
            executable.pool.start(len(others))
            _on_threads.add(self)
        for driver in others:
            self._left.add(driver)
            executable.pool.submit(self._drive, driver)

    def _driver(self, parts: Parts, index: int) -> Driver:
        operators = self._operators(parts, index)
        row_bytes = [self._executable.row_bytes[o.plan_node_id] for o in operators]
        return Driver(index, operators, row_bytes, self._profile, self.trace)

    def _operators(self, parts: Parts, index: int) -> list[Operator]:
        """New operators of part `index`, from its source to its end."""
        out = self._exchanges[index] if index < len(self._exchanges) else None
        on_drained = out.done if out else None
        nodes_left = parts[index]
        first: Source | LocalExchange
        if index == 0:
            scan, *nodes_left = nodes_left
            first = Source(scan.id, scan.name, self._source, on_drained)
        else:
            source = self._exchanges[index - 1]
            first = LocalExchange(parts[index - 1][-1].id, source, on_drained)
        operators: list[Operator] = [first]
        for node in nodes_left:
            if isinstance(node, LocalPartitionNode):
                assert out is not None
                operators.append(LocalPartition(node.id, out, first))
            else:
                projection = self._executable.projections.get(node.id)
                operators.append(pipelines.operator(node, projection, self._profile, self._team))
        return operators

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._iterator is not None or self._closed:
            raise UsageError("a task is read once: ask the executable for another with run()")
        iterator = self._batches()
        self._iterator = weakref.ref(iterator)
        return iterator

    def _batches(self) -> Generator[pa.RecordBatch, None, None]:
        pool = self._executable.pool
        try:
            self._executable.begin(self)
            self._started_ns = time.perf_counter_ns()
            self._make_pipelines()
            final = self._pipelines[-1][0]
            while self._run(len(self._pipelines) - 1, final) is Progress.OUTPUT:
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
        if self._executable.pool.forked:
            raise UsageError("a forked process cannot go on with its parent's task: prepare a plan")
        if self._closed:
            raise UsageError("this task has been closed, or its executable, before its end")

    def to_table(self) -> pa.Table:
        """All of the output."""
        return pa.Table.from_batches(list(self), self._executable.output_type)

    def _run(self, index: int, driver: Driver) -> Progress:
        """Runs the caller's driver of a pipeline until it has output or is finished.

        While it is blocked, the caller runs its driver of the pipeline before.
        """
        while True:
            progress = driver.run_once()
            if progress is Progress.MOVED:
                continue
            if progress is not Progress.BLOCKED:
                return progress
            self._raise_error()
            self._help(index - 1, driver)

    def _help(self, index: int, waiting: Driver) -> None:
        """Runs the first driver of pipeline `index` until `waiting` may go on."""
        driver = self._pipelines[index][0]
        assert waiting.blocked is not None
        while waiting.blocked.is_blocked():
            progress = driver.run_once()
            if progress is Progress.FINISHED:
                driver.close()
                waiting.blocked.wait()
                return
            if progress is Progress.BLOCKED:
                if index > 0:
                    self._help(index - 1, driver)
                else:
                    # an aggregation gives no output before all drivers have gone on
                    self._exchanges[0].wait_for_room_or_output(driver.source.sequence)

    def _drive(self, driver: Driver) -> None:
        """A thread's work: its driver, to the end."""
        try:
            while (progress := driver.run_once()) is not Progress.FINISHED:
                if progress is Progress.BLOCKED:
                    assert driver.blocked is not None
                    driver.blocked.wait()
        except BaseException as error:
            self._errors.append(error)
            self._stop()
        finally:
            driver.close()
            ended = self._executable.driver_ended
            with ended:
                self._left.discard(driver)
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
        elif not self._executable.pool.forked:
            self._stop()

    def _stop(self) -> None:
        """Tells all drivers that nobody wants any more."""
        self._source.close()
        for exchange in self._exchanges:
            exchange.close()

    def _end(self) -> None:
        """Ends the drivers, and gives the threads back, once."""
        if self._ended_ns or self._executable.pool.forked:
            return
        try:
            self._stop_drivers()
        finally:
            _on_threads.discard(self)
            for drivers in self._pipelines:
                for driver in drivers:
                    if driver not in self._left:
                        driver.close()
            self._ended_ns = time.perf_counter_ns()
            self._executable.end(self, bool(self._left))

    def _stop_drivers(self) -> None:
        """Stops those on other threads, and waits for all that can end by themselves."""
        self._stop()
        if not self._left:
            return
        ended, patience_ends = self._executable.driver_ended, time.monotonic() + SOURCE_SECONDS
        with ended:
            while self._left:
                fetching = all(driver.source.is_fetching for driver in self._left)
                if fetching and time.monotonic() > patience_ends:
                    return
                ended.wait(SOURCE_SECONDS / 10)

    def stats(self) -> TaskStats:
        """What the operators have done so far, merged over drivers."""
        operators = tuple(
            o for drivers in self._pipelines for o in merged(driver.stats for driver in drivers)
        )
        end = self._ended_ns or time.perf_counter_ns()
        wall = end - self._started_ns if self._started_ns else 0
        running = [o for drivers in self._pipelines for d in drivers for o in d.operators]
        steps = pipelines.step_stats(self._executable.projections, running)
        return TaskStats(operators, steps, wall)


_on_threads: set[Task] = set()
"""Tasks with drivers on other threads."""


@atexit.register
def _stop_all() -> None:
    """Ends the drivers before the interpreter does, which frees what their kernels use."""
    for task in list(_on_threads):
        task.close()
