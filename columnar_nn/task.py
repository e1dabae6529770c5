"""A plan made ready to run, and one run of it (velox/exec/Task.h, LocalPlanner.cpp).

    executable = prepare(plan, threads=2)
    for batch in executable.run():
        ...

`prepare` does once what does not depend on the data: rewrites, kernels bound and compiled.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa

from columnar_nn import rewrites
from columnar_nn.driver import Driver, Progress
from columnar_nn.expressions import FieldReference
from columnar_nn.kernels import Team
from columnar_nn.kernels.placement import Placement
from columnar_nn.operators import aggregation
from columnar_nn.operators.aggregation import HashAggregation
from columnar_nn.operators.base import Operator
from columnar_nn.operators.filter_project import Filter, Project
from columnar_nn.operators.limit import Limit
from columnar_nn.operators.local_exchange import LocalExchange, LocalPartition, OrderedExchange
from columnar_nn.operators.order_by import OrderBy
from columnar_nn.operators.table_scan import ColumnSelection, SharedSource, Source
from columnar_nn.plan import (
    AggregationNode,
    FilterNode,
    LimitNode,
    LocalPartitionNode,
    OrderByNode,
    PlanNode,
    ProjectNode,
    TableScanNode,
    ValuesNode,
    nodes,
)
from columnar_nn.projection import Projection
from columnar_nn.stats import StepStats, TaskStats, fixed_row_bytes, merged
from columnar_nn.trace import Trace


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
    zero, unless `keep_denormals`. Raises UsageError for an unknown fusion level or algorithm.
    """
    rewritten = rewrites.apply(plan, threads, fusion, algorithm, without)
    return Executable(rewritten, threads, keep_denormals)


Parts = list[list[PlanNode]]

SHORT_STREAM_ROWS = 256
"""Rows for each thread up to which a stream is not worth drivers on other threads.

Drivers take turns with the interpreter's lock, each for every morsel of its own; one driver, whose
kernels the threads share, takes it once a batch, but the others wait meanwhile. plain9 in batches
of 128, how many times as fast one driver is as many: 512 images 1.9 on 16 threads, 1.2 on 8, 1.06
on 4, 1.04 on 2; 8,000 images 0.97, 0.98, 0.93, and 2,000 on 2 threads 0.96.
"""


class Executable:
    """A plan as it will run, its kernels bound and loaded; runs any number of times, one by one.

    Threads, and the scratch memory that they keep, live as long as it does.
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
            projection = _projection(node, keep_denormals)
            if projection is not None:
                projection.prepare()
                self.projections[node.id] = projection
        self.pool: ThreadPoolExecutor | None = None
        self.team: Team | None = None
        self.serial_parts = _parts(n for n in self.chain if not isinstance(n, LocalPartitionNode))
        self.parts = _parts(self.chain)
        if threads > 1:
            self.pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="driver")
            self.team = Team(threads, self.pool)

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
        return Task(self, batches or {}, profile or trace, trace)

    def close(self) -> None:
        """Ends the threads; further runs are an error."""
        if self.pool is not None:
            self.pool.shutdown()

    def __enter__(self) -> Executable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parts(chain: Iterable[PlanNode]) -> Parts:
    """Nodes, scan first, cut after each LocalPartition: those of each pipeline."""
    parts: Parts = [[]]
    for node in chain:
        parts[-1].append(node)
        if isinstance(node, LocalPartitionNode):
            parts.append([])
    return parts


def _projection(node: PlanNode, keep_denormals: bool) -> Projection | None:
    if isinstance(node, ProjectNode):
        return Projection(node.names, node.projections, keep_denormals)
    if isinstance(node, FilterNode):
        return Projection(["keep"], [node.filter], keep_denormals)
    if isinstance(node, AggregationNode) and node.step != "FINAL":
        keys = [
            FieldReference(key, node.source.output_type.field(key).type)
            for key in node.grouping_keys
        ]
        arguments = [a.argument for a in node.aggregates if a.argument is not None]
        names = aggregation.argument_names(node)
        return Projection(names, [*keys, *arguments], keep_denormals)
    return None


class Task:
    """One run of an executable: iterate over it for the batches of output, in order.

    The drivers of pipeline 0 run on `threads` threads, one of which is the caller's, while it
    waits for output; the others run on the caller's. A task over a short stream is serial,
    unless it is profiled: one driver on the caller's thread runs all operators, and the
    threads share the work inside the kernels. An error of any driver ends the task and is raised
    from the iterator, once. Stopping early, or `close`, stops the drivers.
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
        self._futures: list[Future[None]] = []
        self._pipelines: list[list[Driver]] = []
        self._exchanges: list[OrderedExchange] = []
        self._started_ns = self._ended_ns = 0
        self._source = SharedSource(_stream(executable.chain[0], batches), executable.scan_columns)

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
        if len(parts) > 1 and executable.pool is not None:
            self._futures = [executable.pool.submit(self._drive, d) for d in self._pipelines[0][1:]]

    def _driver(self, parts: Parts, index: int) -> Driver:
        operators = self._operators(parts, index)
        row_bytes = [self._executable.row_bytes[o.plan_node_id] for o in operators]
        return Driver(index, operators, row_bytes, self._profile, self.trace)

    def _operators(self, parts: Parts, index: int) -> list[Operator]:
        """New operators of part `index`, from its source to its end."""
        out = self._exchanges[index] if index < len(self._exchanges) else None
        nodes_left = parts[index]
        first: Source | LocalExchange
        if index == 0:
            scan, *nodes_left = nodes_left
            first = Source(scan.id, scan.name, self._source, out.done if out else None)
        else:
            first = LocalExchange(parts[index - 1][-1].id, self._exchanges[index - 1])
        operators: list[Operator] = [first]
        for node in nodes_left:
            if isinstance(node, LocalPartitionNode):
                assert out is not None
                operators.append(LocalPartition(node.id, out, first))
            else:
                operators.append(self._operator(node))
        return operators

    def _operator(self, node: PlanNode) -> Operator:
        projection = self._executable.projections.get(node.id)
        if isinstance(node, FilterNode):
            assert projection is not None
            return Filter(node.id, projection, self._team)
        if isinstance(node, ProjectNode):
            assert projection is not None
            times = np.zeros(len(projection.steps), np.int64) if self._profile else None
            return Project(node.id, projection, times, self._team)
        if isinstance(node, AggregationNode):
            return HashAggregation(node, projection, self._team)
        if isinstance(node, LimitNode):
            return Limit(node.id, node.offset, node.count)
        assert isinstance(node, OrderByNode)
        return OrderBy(node.id, node.keys)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self._started_ns = time.perf_counter_ns()
        try:
            self._make_pipelines()
            final = self._pipelines[-1][0]
            while self._run(len(self._pipelines) - 1, final) is Progress.OUTPUT:
                assert final.output is not None
                yield final.output
            self._raise_error()
        finally:
            self.close()

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
                    # not for output: an aggregation gives none before all drivers have gone on
                    assert driver.blocked is not None
                    driver.blocked.wait()

    def _drive(self, driver: Driver) -> None:
        """A thread's work: its driver, to the end."""
        try:
            while (progress := driver.run_once()) is not Progress.FINISHED:
                if progress is Progress.BLOCKED:
                    assert driver.blocked is not None
                    driver.blocked.wait()
        except BaseException as error:
            self._errors.append(error)
            self._source.close()
            for exchange in self._exchanges:
                exchange.close()
        finally:
            driver.close()

    def _raise_error(self) -> None:
        if self._errors:
            raise self._errors[0]

    def close(self) -> None:
        """Stops the drivers and waits for them; the statistics remain."""
        if self._ended_ns:
            return
        self._source.close()
        for exchange in self._exchanges:
            exchange.close()
        for future in self._futures:
            future.result()
        for drivers in self._pipelines:
            for driver in drivers:
                driver.close()
        self._ended_ns = time.perf_counter_ns()

    def stats(self) -> TaskStats:
        """What the operators have done so far, merged over drivers."""
        operators = tuple(
            operator
            for drivers in self._pipelines
            for operator in merged(driver.stats for driver in drivers)
        )
        end = self._ended_ns or time.perf_counter_ns()
        wall = end - self._started_ns if self._started_ns else 0
        return TaskStats(operators, self._step_stats(), wall)

    def _step_stats(self) -> tuple[StepStats, ...]:
        result = []
        projects = [
            operator
            for drivers in self._pipelines
            for driver in drivers
            for operator in driver.operators
            if isinstance(operator, Project)
        ]
        for node_id, projection in self._executable.projections.items():
            mine = [operator for operator in projects if operator.plan_node_id == node_id]
            rows = sum(operator.num_rows for operator in mine)
            for index, step in enumerate(projection.steps):
                times = [
                    int(operator.step_nanoseconds[index])
                    for operator in mine
                    if operator.step_nanoseconds is not None
                ]
                result.append(
                    replace(step, plan_node_id=node_id, nanoseconds=sum(times), rows=rows)
                )
        return tuple(result)


def _stream(
    scan: PlanNode, batches: Mapping[str, Iterable[pa.RecordBatch]]
) -> Iterator[pa.RecordBatch]:
    """What the scan reads."""
    if scan.id in batches:
        return iter(batches[scan.id])
    if isinstance(scan, ValuesNode):
        return iter(scan.values)
    assert isinstance(scan, TableScanNode)
    return scan.table.read(scan.output_type.names)
