"""How the columnar engine runs a network: its plan, its kernels, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from bench.files.output import OutputFile
from bench.machine.peak import MachinePeak, measure
from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.exec.stats import PlanNodeStats, TaskStats
from columnar_nn.exec.step_stats import StepStats
from columnar_nn.expressions.types import row_type_text
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import PlanNode

PROFILING_ROUNDS = 5


@dataclass(frozen=True)
class Analysis:
    """A run's statistics, the machine's measured peak, and by what share profiling was slower.

    Of a short stream that is not profiled one driver does all: `plain_drivers`.
    """

    stats: TaskStats
    peak: MachinePeak
    profiling_cost: float
    plain_drivers: int
    images: int

    @property
    def operator_nanos(self) -> int:
        """Wall time of all operators, over all threads: what shares are of."""
        return sum(operator.wall_nanos for operator in self.stats.operators)


def num_drivers(stats: TaskStats) -> int:
    """Drivers of the pipeline that had most."""
    return max(operator.num_drivers for operator in stats.operators)


def random_images(graph: Graph, rows: int) -> pa.RecordBatch:
    """Random pixels of a fixed seed: a column of uint8 [rows, ...] for each input of the graph."""
    random = np.random.default_rng(0)
    shapes = [[size for size in spec.shape[1:] if size is not None] for spec in graph.inputs]
    pixels = [random.integers(0, 256, (rows, *shape), dtype=np.uint8) for shape in shapes]
    columns = [tensor_column.from_numpy(array) for array in pixels]
    return pa.RecordBatch.from_arrays(columns, list(graph.columns.values()))


def executable_for(
    graph: Graph,
    fusion: str,
    algorithm: str,
    threads: int,
    images: int,
    without: Collection[str] = (),
    precision: str = "float32",
) -> Executable:
    """The graph's outputs over random images, ready to run; see `exec.executable.prepare`."""
    table = pa.Table.from_batches([random_images(graph, images)])
    plan = PlanBuilder().table_scan(table).project(network_outputs(graph, graph.columns)).plan()
    return prepare(plan, threads, fusion, algorithm, without, precision=precision)


def analyze(executable: Executable, images: int, trace: OutputFile | None = None) -> Analysis:
    """Runs it with profiling and, to tell what profiling costs, as often without.

    With `trace`, a last run is written there as a timeline, and the statistics are of that run.
    """
    executable.run().to_table()
    plain, profiled = [], []
    for _ in range(PROFILING_ROUNDS):
        task = executable.run()
        task.to_table()
        plain.append(task.stats())
        task = executable.run(profile=True)
        task.to_table()
        profiled.append(task.stats())
    usual, stats = (min(runs, key=lambda run: run.wall_nanos) for runs in (plain, profiled))
    cost = stats.wall_nanos / usual.wall_nanos - 1
    if trace is not None:
        task = executable.run(trace=True)
        task.to_table()
        assert task.trace is not None
        with trace.new_file() as file:
            task.trace.write(file)
        stats = task.stats()
    return Analysis(stats, measure(), cost, num_drivers(usual), images)


def least_nanos(step: StepStats, peak: MachinePeak) -> float:
    """The roofline's bound: least nanoseconds that a core needs for an image's work of a kernel.

    That is for the multiply-adds that the kernel executes, fewer than the operator's with
    Winograd, or its operations where it has none; or for its bytes, if moving them takes longer:
    those that a cache cannot hold at the bandwidth of the next one.
    """
    executed = 2 * step.multiply_adds or step.operations
    return peak.least_nanos(executed, step.input_bytes + step.weight_bytes, step.output_bytes)


@dataclass(frozen=True)
class Rates:
    """How fast some kernels were: `share` of all operators' time, and of the roofline."""

    share: float
    gflops: float
    roofline: float


def rates(analysis: Analysis, steps: Sequence[StepStats], nanoseconds: int) -> Rates:
    """Of the kernels `steps`, or of an operator that ran them and took `nanoseconds` in all.

    GFLOP/s count the operations of the layers' definition, so that Winograd may exceed the peak.
    """
    operations = sum(step.operations * step.rows for step in steps)
    least = sum(least_nanos(step, analysis.peak) * step.rows for step in steps)
    taken = max(1, nanoseconds)
    return Rates(taken / max(1, analysis.operator_nanos), operations / taken, least / taken)


def document(graph: Graph, executable: Executable, analysis: Analysis | None) -> dict[str, Any]:
    """The plan as nested dicts under DuckDB's key names; times in seconds, None if not run."""
    stats = {} if analysis is None else analysis.stats.plan_node_stats()
    steps = executable.steps if analysis is None else analysis.stats.steps

    def tree(node: PlanNode) -> dict[str, Any]:
        mine = [step for step in steps if step.plan_node_id == node.id]
        children = [tree(source) for source in node.sources]
        return _node(node, stats.get(node.id), mine, analysis, children)

    return {
        "model": graph.name,
        "backend": "columnar",
        "threads": executable.threads,
        **(_run(analysis) if analysis is not None else {}),
        "children": [tree(executable.plan)],
    }


def _run(analysis: Analysis) -> dict[str, Any]:
    stats, peak = analysis.stats, analysis.peak
    return {
        "images": analysis.images,
        "latency": stats.wall_nanos / 1e9,
        "operator_time": analysis.operator_nanos / 1e9,
        "cpu_time": sum(operator.cpu_nanos for operator in stats.operators) / 1e9,
        "peak_memory_bytes": stats.peak_memory_bytes,
        "profiling_cost": analysis.profiling_cost,
        "peak_gflops": peak.gflops,
        "cache_bytes": {
            name: level.num_bytes
            for name, level in peak.levels.items()
            if math.isfinite(level.num_bytes)
        },
        "peak_gigabytes_per_second": {
            name: level.gigabytes_per_second for name, level in peak.levels.items()
        },
    }


def _node(
    node: PlanNode,
    stats: PlanNodeStats | None,
    steps: Sequence[StepStats],
    analysis: Analysis | None,
    children: list[dict[str, Any]],
) -> dict[str, Any]:
    info: dict[str, Any] = {
        "details": node.details,
        "output_type": row_type_text(node.output_type),
    }
    if stats is not None and analysis is not None:
        info |= measured(stats) | _rates(analysis, steps, stats.wall_nanos)
    return {
        "operator_type": node.name,
        "operator_name": f"{node.name}[{node.id}]",
        "operator_timing": None if stats is None else stats.wall_nanos / 1e9,
        "operator_cardinality": None if stats is None else stats.output_rows,
        "extra_info": info,
        "kernels": list(_kernels(steps, analysis)),
        "children": children,
    }


def measured(stats: PlanNodeStats) -> dict[str, Any]:
    """What an operator did, of any engine that keeps such statistics; times in seconds."""
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


def _rates(analysis: Analysis, steps: Sequence[StepStats], nanoseconds: int) -> dict[str, Any]:
    found = rates(analysis, steps, nanoseconds)
    return {
        "share": found.share,
        "gflops": found.gflops,
        "roofline_share": found.roofline,
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
            "multiply_adds_per_image": step.multiply_adds,
            "input_bytes_per_image": step.input_bytes,
            "weight_bytes": step.weight_bytes,
            "output_bytes_per_image": step.output_bytes,
            "arithmetic_intensity": step.intensity,
            "error_bound": step.error_bound,
        }
        if analysis is not None:
            row |= _rates(analysis, [step], step.nanoseconds)
        yield row
