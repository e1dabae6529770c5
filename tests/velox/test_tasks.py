"""Velox's statistics, its errors, and what repeated runs leave behind."""

from __future__ import annotations

import numpy as np
import pytest
from velox import actions, velox_process
from velox.networks import NETWORKS

from adapters.velox.statistics import operators, parse
from adapters.velox.task import VeloxError, reason

pytest.importorskip("pyvelox")

JOIN = """\
-- Project[3][expressions: (y:REAL, plus("a","b"))] -> y:REAL
   Output: 12 rows (1.50KB, 4 batches), Cpu time: 1.25ms, Wall time: 1m 2s, Blocked wall time: \
3.5us, Peak memory: 64.00KB, Memory allocations: 9, Threads: 2, CPU breakdown: B/I/O/F \
(9.5us/250.00us/1.00ms/0ns)
      runningAddInputWallNanos     sum: 1m 1s, count: 1, min: 1m 1s, max: 1m 1s, avg: 1m 1s
      runningGetOutputWallNanos    sum: 1.00s, count: 1, min: 1.00s, max: 1.00s, avg: 1.00s
  -- NestedLoopJoin[2][INNER] -> a:REAL, b:REAL
     Output: 12 rows (96B, 4 batches), Cpu time: 7us, Wall time: 9us, Blocked wall time: 0ns, \
Peak memory: 0B, Memory allocations: 0
     NestedLoopJoinBuild: Input: 4 rows (16B, 2 batches), Output: 0 rows (0B, 0 batches), \
Cpu time: 2us, Wall time: 3us, Blocked wall time: 0ns, Peak memory: 0B, Memory allocations: 0, \
Threads: 1, CPU breakdown: B/I/O/F (0ns/2us/0ns/0ns)
     NestedLoopJoinProbe: Input: 3 rows (12B, 1 batches), Output: 12 rows (96B, 4 batches), \
Cpu time: 5us, Wall time: 6us, Blocked wall time: 0ns, Peak memory: 0B, Memory allocations: 0, \
Threads: 1, CPU breakdown: B/I/O/F (0ns/1us/4us/0ns)
    -- Values[0][3 rows in 1 vectors] -> a:REAL
       Input: 0 rows (0B, 0 batches), Output: 3 rows (12B, 1 batches), Cpu time: 1us, Wall time: \
1us, Blocked wall time: 0ns, Peak memory: 0B, Memory allocations: 0, Threads: 1, CPU breakdown: \
B/I/O/F (0ns/0ns/1us/0ns)
    -- Values[1][4 rows in 2 vectors] -> b:REAL
       Input: 0 rows (0B, 0 batches), Output: 4 rows (16B, 2 batches), Cpu time: 1us, Wall time: \
1us, Blocked wall time: 0ns, Peak memory: 0B, Memory allocations: 0, Threads: 1, CPU breakdown: \
B/I/O/F (0ns/0ns/1us/0ns)
"""


def test_text_becomes_operator_records() -> None:
    root = parse(JOIN)
    assert (root.name, root.node_id) == ("Project", "3")
    assert [source.name for source in root.sources[0].sources] == ["Values", "Values"]
    records = list(operators(root))
    types = ["Values", "Values", "NestedLoopJoinBuild", "NestedLoopJoinProbe", "Project"]
    assert [record.operator_type for record in records] == types
    project = records[-1]
    assert (project.input_rows, project.input_batches, project.input_bytes) == (12, 4, 96)
    assert (project.output_rows, project.output_batches, project.output_bytes) == (12, 4, 1536)
    assert project.cpu_nanos == 1_250_000
    assert project.wall_nanos == 62_000_000_000
    assert project.blocked_nanos == 3_500
    assert project.peak_memory_bytes == 65_536
    assert project.num_drivers == 2


def test_text_without_a_plan_is_refused() -> None:
    with pytest.raises(ValueError, match="no plan node"):
        parse("")


def test_every_task_of_a_network_has_records() -> None:
    graph = NETWORKS["plain"]()
    images = np.zeros((2, 3, 9, 9), np.uint8)
    for configuration, num_tasks in (("direct", 5), ("cross_join", 1), ("nested_lambda", 1)):
        records = velox_process.call(actions.operator_records, graph, images, configuration)
        assert len({stage for stage, *_ in records}) == num_tasks
        assert all(cpu_nanos > 0 for *_, cpu_nanos in records)
        rows = records[-1][2]
        assert rows == (10 if configuration == "direct" else 1)


def test_an_error_is_one_line_with_velox_s_own_reason() -> None:
    with pytest.raises(VeloxError, match=r"^Velox: division by zero$"):
        velox_process.call(actions.failing_task)


def test_reason_is_found_in_velox_s_report() -> None:
    report = RuntimeError("Exception: VeloxUserError\nError Code: X\nReason: too wide\nFile: f")
    assert reason(report) == "too wide"
    assert reason(RuntimeError("broken\nstack")) == "broken"
    assert reason(RuntimeError()) == "RuntimeError"


def test_an_imported_array_is_not_kept() -> None:
    before, after, total = velox_process.call(actions.references_of_a_column)
    assert (after, total) == (before, 6.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("configuration", "sizes"),
    [
        ("winograd", (1, 33, 2, 40, 3, 50)),  # of four sizes, then of others in those
        ("direct", (1, 33, 2, 40, 3, 50)),
        ("cross_join", (1, 9, 2)),
        ("nested_lambda", (1, 3, 2)),
    ],
)
def test_batches_of_any_size_leave_nothing_behind(
    configuration: str, sizes: tuple[int, ...]
) -> None:
    graph = NETWORKS["plain"]()
    batches = [np.zeros((size, 3, 9, 9), np.uint8) for size in sizes]
    resident = velox_process.call(actions.resident_bytes, graph, batches, configuration, 60)
    growth = (resident[-1] - resident[9]) / 50 / len(batches)
    assert growth < 20 * 1024, f"{growth / 1024:.0f} KiB a batch"
