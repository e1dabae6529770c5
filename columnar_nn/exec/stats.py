"""Statistics of operators, folded onto plan nodes.

The same baseline for every operator (velox/exec/OperatorStats.h): rows, batches and bytes in
and out, wall and CPU time of each method, time blocked, peak memory, drivers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace

import pyarrow as pa

from columnar_nn.exec.step_stats import StepStats
from columnar_nn.shown import Shown, line


def fixed_row_bytes(schema: pa.Schema) -> int:
    """Bytes of the values of a row; 0 if it depends on them, as with VARCHAR.

    Asking a batch for its size takes longer than all other counting.
    """
    total = 0
    for data_type in schema.types:
        storage = getattr(data_type, "storage_type", data_type)
        length = 1
        while pa.types.is_fixed_size_list(storage):
            length, storage = length * storage.list_size, storage.value_type
        if not pa.types.is_primitive(storage) or storage.bit_width % 8:
            return 0
        total += length * storage.bit_width // 8
    return total


@dataclass(slots=True)
class CpuWallTiming:
    """Calls of a method, and nanoseconds in them: wall time and, if profiled, CPU time."""

    count: int = 0
    wall_nanos: int = 0
    cpu_nanos: int = 0

    def merge(self, other: CpuWallTiming) -> None:
        """Adds another thread's calls."""
        self.count += other.count
        self.wall_nanos += other.wall_nanos
        self.cpu_nanos += other.cpu_nanos


@dataclass(slots=True, repr=False)
class OperatorStats:
    """What one operator did in one driver, or, once merged, in all drivers of its pipeline."""

    plan_node_id: str
    operator_type: str
    pipeline_id: int
    operator_id: int
    input_rows: int = 0
    input_batches: int = 0
    input_bytes: int = 0
    output_rows: int = 0
    output_batches: int = 0
    output_bytes: int = 0
    add_input: CpuWallTiming = field(default_factory=CpuWallTiming)
    get_output: CpuWallTiming = field(default_factory=CpuWallTiming)
    finish: CpuWallTiming = field(default_factory=CpuWallTiming)
    blocked_nanos: int = 0
    peak_memory_bytes: int = 0
    num_drivers: int = 1

    def __repr__(self) -> str:
        return _stats_line(f"OperatorStats {self.operator_type}[{self.plan_node_id}]:", self)

    @property
    def wall_nanos(self) -> int:
        """Wall time in the operator, summed over drivers."""
        return self.add_input.wall_nanos + self.get_output.wall_nanos + self.finish.wall_nanos

    @property
    def cpu_nanos(self) -> int:
        """CPU time in the operator, summed over drivers; 0 unless the task was profiled."""
        return self.add_input.cpu_nanos + self.get_output.cpu_nanos + self.finish.cpu_nanos

    def count_input(self, num_rows: int, num_bytes: int) -> None:
        """Counts a batch given to the operator."""
        self.input_rows += num_rows
        self.input_batches += 1
        self.input_bytes += num_bytes

    def count_output(self, num_rows: int, num_bytes: int) -> None:
        """Counts a batch that the operator gave."""
        self.output_rows += num_rows
        self.output_batches += 1
        self.output_bytes += num_bytes

    def merge(self, other: OperatorStats) -> None:
        """Adds the same operator of another driver; peaks add up, for they may coincide."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, CpuWallTiming):
                mine.merge(theirs)
            elif item.name not in ("plan_node_id", "operator_type", "pipeline_id", "operator_id"):
                setattr(self, item.name, mine + theirs)


@dataclass(frozen=True, repr=False)
class PlanNodeStats:
    """The operators of one plan node taken together (velox/exec/PlanNodeStats.h)."""

    plan_node_id: str
    operator_types: tuple[str, ...]
    input_rows: int
    input_batches: int
    input_bytes: int
    output_rows: int
    output_batches: int
    output_bytes: int
    wall_nanos: int
    cpu_nanos: int
    add_input: CpuWallTiming
    get_output: CpuWallTiming
    finish: CpuWallTiming
    blocked_nanos: int
    peak_memory_bytes: int
    num_drivers: int
    steps: tuple[StepStats, ...] = ()

    def __repr__(self) -> str:
        names = "+".join(self.operator_types)
        return _stats_line(f"PlanNodeStats {names}[{self.plan_node_id}]:", self)


def _stats_line(kind: str, stats: OperatorStats | PlanNodeStats) -> str:
    rows = f"{stats.input_rows:,} rows in, {stats.output_rows:,} out"
    return line(kind, f"{rows}, {stats.wall_nanos / 1e6:,.3f} ms, {stats.num_drivers} drivers")


@dataclass(frozen=True, repr=False)
class TaskStats(Shown):
    """All operators of a task, one entry an operator, and the kernels they ran.

    `wall_nanos` runs from the first request for output to the end; `peak_memory_bytes` is the
    sum of the operators' peaks, an upper bound of what was held at once.
    """

    operators: tuple[OperatorStats, ...]
    steps: tuple[StepStats, ...]
    wall_nanos: int

    def __repr__(self) -> str:
        counts = f"{len(self.operators)} operators, {len(self.steps)} kernels"
        return line("TaskStats:", f"{counts}, {self.wall_nanos / 1e6:,.3f} ms")

    @property
    def peak_memory_bytes(self) -> int:
        """Bytes the operators held, each at its peak."""
        return sum(operator.peak_memory_bytes for operator in self.operators)

    def plan_node_stats(self) -> dict[str, PlanNodeStats]:
        """Statistics by plan node id.

        A node that became several operators (the ends of a LocalPartition) has the input and the
        output of all: where a pipeline begins there is no input, where it feeds another no output.
        """
        by_node: dict[str, list[OperatorStats]] = {}
        for operator in self.operators:
            by_node.setdefault(operator.plan_node_id, []).append(operator)
        return {node_id: self._fold(node_id, operators) for node_id, operators in by_node.items()}

    def _fold(self, node_id: str, operators: Sequence[OperatorStats]) -> PlanNodeStats:
        timings = {}
        for name in ("add_input", "get_output", "finish"):
            timings[name] = CpuWallTiming()
            for operator in operators:
                timings[name].merge(getattr(operator, name))
        return PlanNodeStats(
            plan_node_id=node_id,
            operator_types=tuple(operator.operator_type for operator in operators),
            input_rows=sum(operator.input_rows for operator in operators),
            input_batches=sum(operator.input_batches for operator in operators),
            input_bytes=sum(operator.input_bytes for operator in operators),
            output_rows=sum(operator.output_rows for operator in operators),
            output_batches=sum(operator.output_batches for operator in operators),
            output_bytes=sum(operator.output_bytes for operator in operators),
            wall_nanos=sum(operator.wall_nanos for operator in operators),
            cpu_nanos=sum(operator.cpu_nanos for operator in operators),
            blocked_nanos=sum(operator.blocked_nanos for operator in operators),
            peak_memory_bytes=sum(operator.peak_memory_bytes for operator in operators),
            num_drivers=max(operator.num_drivers for operator in operators),
            steps=tuple(s for s in self.steps if s.plan_node_id == node_id),
            **timings,
        )

    def operators_table(self) -> pa.Table:
        """One row an operator; times in nanoseconds."""
        schema = pa.Table.from_pylist([_operator_row(OperatorStats("", "", 0, 0))]).schema
        return pa.Table.from_pylist([_operator_row(o) for o in self.operators], schema)

    def steps_table(self) -> pa.Table:
        """One row a kernel step: label, kernel, shape, work and time."""
        schema = pa.Table.from_pylist(
            [_step_row(StepStats("", "", "", (0,), 0, 0, 0, 0, 0))]
        ).schema
        return pa.Table.from_pylist([_step_row(step) for step in self.steps], schema)


def _step_row(step: StepStats) -> dict[str, object]:
    row = {item.name: getattr(step, item.name) for item in fields(step)}
    return {**row, "output_shape": list(step.output_shape)}


def _operator_row(operator: OperatorStats) -> dict[str, object]:
    row: dict[str, object] = {}
    for item in fields(operator):
        value = getattr(operator, item.name)
        if isinstance(value, CpuWallTiming):
            row[f"{item.name}_wall_nanos"] = value.wall_nanos
            row[f"{item.name}_cpu_nanos"] = value.cpu_nanos
        else:
            row[item.name] = value
    return {**row, "wall_nanos": operator.wall_nanos, "cpu_nanos": operator.cpu_nanos}


def merged(drivers: Iterable[Sequence[OperatorStats]]) -> tuple[OperatorStats, ...]:
    """The operators of a pipeline's drivers, each merged over the drivers."""
    result: list[OperatorStats] = []
    for operators in drivers:
        if not result:
            result = [_copy(operator) for operator in operators]
            continue
        for total, operator in zip(result, operators, strict=True):
            total.merge(operator)
    return tuple(result)


def _copy(operator: OperatorStats) -> OperatorStats:
    return replace(
        operator,
        add_input=replace(operator.add_input),
        get_output=replace(operator.get_output),
        finish=replace(operator.finish),
    )
