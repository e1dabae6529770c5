"""A plan with the statistics of a task below each node, as Velox's printPlanWithStats."""

from __future__ import annotations

from columnar_nn.exec.stats import PlanNodeStats, TaskStats
from columnar_nn.plan.plan_node import PlanNode
from columnar_nn.plan.text import to_text


def plan_with_stats(plan: PlanNode, stats: TaskStats) -> str:
    """The detailed plan, each node followed by a line of what its operators did."""
    by_node = stats.plan_node_stats()

    def annotate(node: PlanNode) -> list[str]:
        return [stats_line(by_node[node.id])] if node.id in by_node else []

    return to_text(plan, annotate=annotate)


def stats_line(stats: PlanNodeStats) -> str:
    """What a node's operators did, in the words and the order of Velox.

    CPU time is left out if it was not measured.
    """
    timings = (stats.add_input, stats.get_output, stats.finish)
    breakdown = "/".join(nanos_text(timing.cpu_nanos) for timing in timings)
    cpu_time = [f"Cpu time: {nanos_text(stats.cpu_nanos)}"] if stats.cpu_nanos else []
    parts = [
        f"Input: {_amount(stats.input_rows, stats.input_bytes, stats.input_batches)}",
        f"Output: {_amount(stats.output_rows, stats.output_bytes, stats.output_batches)}",
        *cpu_time,
        f"Wall time: {nanos_text(stats.wall_nanos)}",
        f"Blocked wall time: {nanos_text(stats.blocked_nanos)}",
        f"Peak memory: {bytes_text(stats.peak_memory_bytes)}",
        f"Threads: {stats.num_drivers}",
        *([f"CPU breakdown: I/O/F ({breakdown})"] if cpu_time else []),
    ]
    return ", ".join(parts)


def _amount(rows: int, num_bytes: int, batches: int) -> str:
    return f"{rows} rows ({bytes_text(num_bytes)}, {batches} batches)"


def nanos_text(nanos: int) -> str:
    """A duration in the unit that suits it, with two decimals."""
    for limit, unit in ((1_000, "ns"), (1_000_000, "us"), (1_000_000_000, "ms")):
        if nanos < limit:
            return f"{nanos}ns" if unit == "ns" else f"{nanos * 1000 / limit:.2f}{unit}"
    return f"{nanos / 1e9:.2f}s"


def bytes_text(num_bytes: int) -> str:
    """A number of bytes in the binary unit that suits it, with two decimals."""
    if num_bytes < 1024:
        return f"{num_bytes}B"
    size = float(num_bytes)
    for unit in ("KB", "MB", "GB"):
        size /= 1024
        if size < 1024:
            return f"{size:.2f}{unit}"
    return f"{size / 1024:.2f}TB"
