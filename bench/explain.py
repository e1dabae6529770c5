"""How the columnar engine runs a network: its plan, its kernels, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from bench.machine_peak import MachinePeak, measure
from columnar_nn import tensor_column
from columnar_nn.graph import Graph
from columnar_nn.kernels.placement import Placement
from columnar_nn.network_expressions import network_outputs
from columnar_nn.plan import PlanNode, nodes
from columnar_nn.plan_builder import PlanBuilder
from columnar_nn.plan_text import details, row_type_text, to_text
from columnar_nn.stats import PlanNodeStats, StepStats, TaskStats
from columnar_nn.stats_text import nanos_text, plan_with_stats
from columnar_nn.task import Executable, Task, prepare

PROFILING_ROUNDS = 3


@dataclass(frozen=True)
class Analysis:
    """A run's statistics, the machine's measured peak, and by what share profiling was slower."""

    stats: TaskStats
    peak: MachinePeak
    profiling_overhead: float
    task: Task


def random_images(graph: Graph, rows: int) -> np.ndarray:
    """Random pixels of a fixed seed, uint8 [rows, C, H, W] as the graph's input wants them."""
    shape = [dimension for dimension in graph.inputs[0].shape[1:] if dimension is not None]
    return np.random.default_rng(0).integers(0, 256, (rows, *shape), dtype=np.uint8)


def executable_for(
    graph: Graph, fusion: str, algorithm: str, threads: int, rows: int
) -> Executable:
    """The graph's outputs over `rows` random images, ready to run."""
    table = pa.table({"image": tensor_column.from_numpy(random_images(graph, rows))})
    plan = PlanBuilder().table_scan(table).project(network_outputs(graph, "image")).plan()
    return prepare(plan, threads, fusion, algorithm)


def analyze(executable: Executable, trace: bool) -> Analysis:
    """Runs it with profiling and, to tell what profiling costs, as often without."""
    executable.run().to_table()
    plain, profiled = [], []
    for _ in range(PROFILING_ROUNDS):
        task = executable.run()
        task.to_table()
        plain.append(_cpu_nanos(task))
        task = executable.run(profile=True)
        task.to_table()
        profiled.append((_cpu_nanos(task), task))
    cpu, best = min(profiled, key=lambda entry: entry[0])
    if trace:
        best = executable.run(trace=True)
        best.to_table()
    return Analysis(best.stats(), measure(), cpu / min(plain) - 1, best)


def _cpu_nanos(task: Task) -> int:
    """CPU time of all operators: unlike wall time it does not count what others take."""
    return sum(operator.cpu_nanos for operator in task.stats().operators)


def text(executable: Executable, analysis: Analysis | None) -> str:
    """The plan as Velox prints it, and a table of its kernel steps."""
    if analysis is None:
        return f"{to_text(executable.plan)}\n{_work(executable.steps, executable.placements)}"
    stats, peak = analysis.stats, analysis.peak
    kernel_nanos = sum(step.nanoseconds for step in stats.steps)
    return "\n".join(
        [
            plan_with_stats(executable.plan, stats),
            _work(stats.steps, executable.placements),
            "",
            _time_table(stats.steps, peak),
            "",
            f"wall time {nanos_text(stats.wall_nanos)}, of which kernels "
            f"{nanos_text(kernel_nanos)} over all drivers; profiling changed "
            f"CPU time by {analysis.profiling_overhead:+.1%}",
            f"peak of a core, measured: {peak.gflops:.1f} GFLOP/s (multiply-adds), "
            f"{peak.gigabytes_per_second:.1f} GB/s (memory;",
            "a share of the roofline above 100% is of data that stays in cache)",
        ]
    )


_COLUMNS = ("step", "kernel", "output", "MFLOP", "kB in", "kB weights", "kB out", "FLOP/byte")
_TIMED_COLUMNS = ("step", "kernel", "us/image", "share", "GFLOP/s", "roofline")


def _work(steps: Sequence[StepStats], placements: Sequence[Placement]) -> str:
    """A line a kernel step: what it does and moves for one image; then the memory they share."""
    table = _table(
        _COLUMNS,
        [
            (
                step.label,
                step.kernel,
                "x".join(map(str, step.output_shape)),
                f"{step.operations / 1e6:.3f}",
                f"{step.input_bytes / 1e3:.1f}",
                f"{step.weight_bytes / 1e3:.1f}",
                f"{step.output_bytes / 1e3:.1f}",
                f"{step.intensity:.1f}",
            )
            for step in steps
        ],
        num_texts=3,
    )
    placed = sum(placement.num_bytes for placement in placements) / 1e3
    least = sum(placement.least_bytes for placement in placements) / 1e3
    unshared = sum(placement.unshared_bytes for placement in placements) / 1e3
    return (
        f"{table}\n\npeak activation memory of an image: {placed:.1f} kB; at least {least:.1f} kB "
        f"live at once; {unshared:.1f} kB if none shared"
    )


def _time_table(steps: Sequence[StepStats], peak: MachinePeak) -> str:
    """A line a kernel step: its time in a profiled run, and its share of the roofline."""
    total = sum(step.nanoseconds for step in steps)
    return _table(
        _TIMED_COLUMNS,
        [
            (
                step.label,
                step.kernel,
                f"{step.nanoseconds / max(1, step.rows) / 1e3:.1f}",
                f"{step.nanoseconds / max(1, total):.1%}",
                f"{step.gflops:.1f}",
                f"{roofline_share(step, peak):.0%}",
            )
            for step in steps
        ],
        num_texts=2,
    )


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]], num_texts: int) -> str:
    """Columns two spaces apart, the first `num_texts` of them aligned left, figures right."""
    lines = [heading, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < num_texts else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def roofline_share(step: StepStats, peak: MachinePeak) -> float:
    """Share of what the machine can do at most of the work that the kernel really executes.

    That is its multiply-adds, fewer than the operator's with Winograd, or its operations where
    it has none, bounded by the peak and by its bytes; copies are measured by bytes alone. Above
    1 where the data stays in cache, for the bandwidth is that of memory.
    """
    if not step.nanoseconds:
        return 0.0
    num_bytes = step.input_bytes + step.weight_bytes + step.output_bytes
    executed = 2 * step.multiply_adds or step.operations
    nanoseconds = step.nanoseconds / step.rows
    if not executed:
        return num_bytes / nanoseconds / peak.gigabytes_per_second
    return executed / nanoseconds / peak.attainable_gflops(executed / num_bytes)


def tree(executable: Executable, analysis: Analysis | None) -> dict[str, Any]:
    """The plan as nested dicts under DuckDB's key names; times in seconds, None if not run."""
    stats = {} if analysis is None else analysis.stats.plan_node_stats()
    steps = executable.steps if analysis is None else analysis.stats.steps
    result: dict[str, Any] | None = None
    for node in reversed(list(nodes(executable.plan))):
        children = [] if result is None else [result]
        result = _node(node, stats.get(node.id), steps, analysis, children)
    assert result is not None
    return result


def _node(
    node: PlanNode,
    stats: PlanNodeStats | None,
    steps: Sequence[StepStats],
    analysis: Analysis | None,
    children: list[dict[str, Any]],
) -> dict[str, Any]:
    kernels = _kernels([step for step in steps if step.plan_node_id == node.id], analysis)
    return {
        "operator_type": node.name,
        "operator_name": f"{node.name}[{node.id}]",
        "operator_timing": None if stats is None else stats.wall_nanos / 1e9,
        "operator_cardinality": None if stats is None else stats.output_rows,
        "extra_info": {
            "details": details(node),
            "output_type": row_type_text(node.output_type),
            **({} if stats is None else _measured(stats)),
        },
        "kernels": list(kernels),
        "children": children,
    }


def _measured(stats: PlanNodeStats) -> dict[str, Any]:
    return {
        "input_rows": stats.input_rows,
        "input_batches": stats.input_batches,
        "input_bytes": stats.input_bytes,
        "output_batches": stats.output_batches,
        "output_bytes": stats.output_bytes,
        "cpu_time": stats.cpu_nanos / 1e9,
        "blocked_time": stats.blocked_nanos / 1e9,
        "peak_memory_bytes": stats.peak_memory_bytes,
        "threads": stats.num_drivers,
    }


def _kernels(steps: Sequence[StepStats], analysis: Analysis | None) -> Iterator[dict[str, Any]]:
    for step in steps:
        row: dict[str, Any] = {
            "operator_type": step.kernel,
            "operator_name": step.label,
            "operator_timing": None if analysis is None else step.nanoseconds / 1e9,
            "operator_cardinality": None if analysis is None else step.rows,
            "output_shape": list(step.output_shape),
            "flops_per_image": step.operations,
            "input_bytes_per_image": step.input_bytes,
            "weight_bytes": step.weight_bytes,
            "output_bytes_per_image": step.output_bytes,
            "arithmetic_intensity": step.intensity,
        }
        if analysis is not None:
            row["gflops"] = step.gflops
            row["roofline_share"] = roofline_share(step, analysis.peak)
        yield row
