"""Statistics count what went through, fold onto nodes, and become Arrow tables."""

from __future__ import annotations

import pyarrow as pa
import pytest
from exec.networks import images, residual_network

from columnar_nn.exec import driver
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.exec.stats import CpuWallTiming, OperatorStats, TaskStats, merged
from columnar_nn.exec.stats_text import bytes_text, nanos_text, plan_with_stats
from columnar_nn.exec.step_stats import StepStats
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import PlanNode

BATCH = images(600)
KEPT = sum(label < 3 for label in BATCH.column("label").to_pylist())


def query() -> PlanNode:
    builder = PlanBuilder().values([BATCH]).filter("label < 3")
    builder.project({"label": "label", "y": network(residual_network())})
    return builder.aggregate(["label"], ["count()"]).plan()


def prepared(threads: int = 1, fusion: str = "pipeline") -> Executable:
    """With the network, though the query asks for nothing of it."""
    return prepare(query(), threads, fusion, without={"prune_columns"})


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_in_and_out_of_every_node(threads: int) -> None:
    task = prepared(threads).run()
    task.to_table()
    stats = task.stats().plan_node_stats()
    rows = {n: (s.input_rows, s.output_rows, s.num_drivers) for n, s in stats.items()}
    if threads == 1:
        assert rows == {
            "0": (0, 600, 1),
            "1": (600, KEPT, 1),
            "2": (KEPT, KEPT, 1),
            "3": (KEPT, 3, 1),
        }
        return
    partial = rows["3.partial"][1]
    assert partial in (3, 6)  # a driver that came too late has no groups
    assert rows == {
        "0": (0, 600, 2),
        "1": (600, KEPT, 2),
        "2": (KEPT, KEPT, 2),
        "3.partial": (KEPT, partial, 2),
        "3.gather": (partial, partial, 2),
        "3": (partial, 3, 1),
    }
    assert stats["3.gather"].operator_types == ("LocalPartition", "LocalExchange")


def test_bytes_batches_and_memory() -> None:
    task = prepared().run()
    task.to_table()
    scan, filtered, projected, grouped = task.stats().operators
    assert scan.output_bytes == filtered.input_bytes == BATCH.nbytes
    assert scan.output_batches == filtered.input_batches == 3
    assert projected.output_bytes == grouped.input_bytes == KEPT * (1 + 5 * 4)
    assert projected.peak_memory_bytes > 20 * 9 * 7 * 4
    assert task.stats().peak_memory_bytes >= projected.peak_memory_bytes


def test_the_driver_is_the_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With clocks that advance by one at each look, every call lasts exactly one."""

    class Clock:
        wall = cpu = 0

        def perf_counter_ns(self) -> int:
            self.wall += 1
            return self.wall

        def thread_time_ns(self) -> int:
            self.cpu += 1
            return self.cpu

    monkeypatch.setattr(driver, "time", Clock())
    plan = PlanBuilder().values([images(5)]).filter("label < 9").plan()
    task = prepare(plan).run(profile=True)
    assert len(list(task)) == 1
    for operator in task.stats().operators:
        for timing in (operator.add_input, operator.get_output, operator.finish):
            assert timing.wall_nanos == timing.cpu_nanos == timing.count
    scan, filtered = task.stats().operators
    assert (scan.get_output.count, scan.add_input.count) == (1, 0)
    assert (filtered.add_input.count, filtered.finish.count) == (1, 1)


def test_kernels_and_cpu_are_timed_only_when_profiling() -> None:
    executable = prepared()
    for profile in (False, True):
        task = executable.run(profile=profile)
        task.to_table()
        steps = task.stats().steps
        assert all((step.nanoseconds > 0) == profile for step in steps)
        for operator in task.stats().operators:
            assert operator.wall_nanos > 0
            assert (operator.cpu_nanos > 0) == profile
        assert {step.rows for step in steps} == {KEPT}


def test_operations_are_those_of_the_definition() -> None:
    steps = {step.label: step for step in prepared(fusion="layer").steps}
    pixels, channels = 9 * 7, 20
    products = 2 * 3 * 3 * channels * pixels
    assert steps["conv1+relu1"].operations == products * 3 + 2 * channels * pixels
    assert steps["conv2+norm+add+relu2"].operations == products * channels + 3 * channels * pixels
    assert steps["dense"].operations == 2 * 5 * 20 + 5
    assert steps["pool"].operations == channels * pixels
    assert steps["conv1+relu1"].intensity == steps["conv1+relu1"].operations / (
        steps["conv1+relu1"].input_bytes
        + steps["conv1+relu1"].weight_bytes
        + steps["conv1+relu1"].output_bytes
    )


def operator(node: str, name: str, pipeline: int, rows: int) -> OperatorStats:
    return OperatorStats(
        node,
        name,
        pipeline,
        0,
        input_rows=rows,
        output_rows=rows + 1,
        get_output=CpuWallTiming(1, 10, 5),
        blocked_nanos=2,
        peak_memory_bytes=100,
    )


def test_drivers_are_added_up() -> None:
    first, second = [operator("1", "Filter", 0, 3)], [operator("1", "Filter", 0, 4)]
    (total,) = merged([first, second])
    assert (total.input_rows, total.output_rows, total.num_drivers) == (7, 9, 2)
    assert total.get_output == CpuWallTiming(2, 20, 10)
    assert (total.blocked_nanos, total.peak_memory_bytes) == (4, 200)
    assert first[0].get_output.count == 1  # the originals are as they were


def test_tables() -> None:
    step = StepStats("2", "conv1", "direct", (4, 2, 2), 64, 32, 10, 20, 2, nanoseconds=32, rows=2)
    stats = TaskStats((operator("1", "Filter", 0, 3),), (step,), 50)
    (row,) = stats.operators_table().to_pylist()
    assert row["operator_type"] == "Filter"
    assert (row["wall_nanos"], row["get_output_cpu_nanos"]) == (10, 5)
    assert stats.steps_table().to_pylist()[0]["output_shape"] == [4, 2, 2]
    assert step.gflops == 4.0
    assert step.intensity == 2.0
    nothing = TaskStats((), (), 0)
    for full, empty in (
        (stats.steps_table(), nothing.steps_table()),
        (stats.operators_table(), nothing.operators_table()),
    ):
        assert empty.num_rows == 0
        assert empty.schema == full.schema


def test_text_in_velox_form() -> None:
    plan = PlanBuilder().values([pa.record_batch({"id": [1, 2]})]).limit(1).plan()
    limit = operator("1", "Limit", 0, 2)
    text = plan_with_stats(plan, TaskStats((limit,), (), 0))
    assert text.splitlines() == [
        "-- Limit[1][1] -> id:BIGINT",
        "   Input: 2 rows (0B, 0 batches), Output: 3 rows (0B, 0 batches), Cpu time: 5ns, "
        "Wall time: 10ns, Blocked wall time: 2ns, Peak memory: 100B, Threads: 1, "
        "CPU breakdown: I/O/F (0ns/5ns/0ns)",
        "  -- Values[0][2 rows in 1 vectors] -> id:BIGINT",
    ]
    limit.get_output.cpu_nanos = 0  # not measured
    text = plan_with_stats(plan, TaskStats((limit,), (), 0))
    assert text.splitlines()[1] == (
        "   Input: 2 rows (0B, 0 batches), Output: 3 rows (0B, 0 batches), Wall time: 10ns, "
        "Blocked wall time: 2ns, Peak memory: 100B, Threads: 1"
    )


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(999, "999ns"), (16050, "16.05us"), (2_500_000, "2.50ms"), (3 * 10**9, "3.00s")],
)
def test_durations(nanos: int, text: str) -> None:
    assert nanos_text(nanos) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(252, "252B"), (208507, "203.62KB"), (3 * 2**20, "3.00MB"), (2**41, "2.00TB")],
)
def test_sizes(size: int, text: str) -> None:
    assert bytes_text(size) == text
