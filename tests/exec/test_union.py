"""LocalPartition over several sources: the rows of all, in order, however many threads run them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest
from exec.networks import column, expected, images, residual_network

from columnar_nn.data.arrow_source import from_batches
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.exec.driver import Driver, Progress
from columnar_nn.exec.executable import prepare
from columnar_nn.exec.operators.filter_project import Filter
from columnar_nn.exec.operators.local_exchange import window
from columnar_nn.exec.operators.table_scan import Scan
from columnar_nn.exec.stats_text import plan_with_stats
from columnar_nn.exec.task_threads import SHORT_STREAM_ROWS
from columnar_nn.expressions.expression import argmax
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder

pytestmark = pytest.mark.timeout(60, method="thread")

SIZES = ((700, 2, 40), (1, 300, 5))


def numbered(sizes: Sequence[int], start: int = 0) -> list[pa.RecordBatch]:
    """Batches of so many rows with ids that count on from `start`."""
    ends = start + np.cumsum(sizes)
    return [
        pa.record_batch({"id": pa.array(range(end - rows, end), pa.int64())})
        for rows, end in zip(sizes, ends.tolist(), strict=True)
    ]


def union(*streams: Iterator[pa.RecordBatch] | list[pa.RecordBatch]) -> PlanBuilder:
    """All rows of scans over the streams: the first scan has id 0, the next 1, and so on."""
    builder = PlanBuilder()
    schema = pa.schema([("id", pa.int64())])
    scans = [builder.new_builder().table_scan(from_batches(schema, s)).plan() for s in streams]
    return builder.local_partition(scans)


def both() -> PlanBuilder:
    return union(numbered(SIZES[0]), numbered(SIZES[1], 1000))


BOTH = [*range(742), *range(1000, 1306)]


def ids(builder: PlanBuilder, threads: int) -> list[int]:
    with prepare(builder.plan(), threads) as executable:
        found: list[int] = executable.run().to_table().column("id").to_pylist()
    return found


def test_the_rows_of_all_sources_in_order(threads: int) -> None:
    for _ in range(5):
        assert ids(both(), threads) == BOTH


@pytest.mark.usefixtures("drivers")
@pytest.mark.parametrize("threads", [3, 8])
@pytest.mark.parametrize("sources", [2, 5])
def test_many_drivers_of_many_sources(threads: int, sources: int) -> None:
    streams = [numbered((64,) * 20, 10_000 * index) for index in range(sources)]
    assert ids(union(*streams), threads) == [
        10_000 * index + row for index in range(sources) for row in range(64 * 20)
    ]


def test_empty_sources(threads: int) -> None:
    assert ids(union([], numbered((3,)), [], numbered((0, 2, 0), 3), []), threads) == [*range(5)]
    assert ids(union([], []), threads) == []


def test_networks_over_either_source(threads: int) -> None:
    graph, batches = residual_network(), [images(90, seed=1), images(30, seed=2)]
    builder = PlanBuilder()
    logits = network(graph)
    parts = [
        builder.new_builder().values([batches[0]]).project({"id": "id", "y": logits}),
        builder.new_builder().values([batches[1]]).filter("id % 2 = 0"),
    ]
    parts[1].project({"id": "id", "y": logits})
    plan = builder.local_partition([part.plan() for part in parts]).plan()
    with prepare(plan, threads) as executable:
        table = executable.run().to_table()
    truth = np.concatenate([expected(graph, batch, "logits")[0] for batch in batches])
    kept = [*range(90), *range(90, 120, 2)]
    assert table.column("id").to_pylist() == [*range(90), *range(0, 30, 2)]
    np.testing.assert_allclose(column(table, "y"), truth[kept], atol=1e-4)


def test_batches_may_be_given_for_either_scan(threads: int) -> None:
    with prepare(both().plan(), threads) as executable:
        for given, wanted in (
            ({"0": numbered((2,), 50)}, [50, 51, *range(1000, 1306)]),
            ({"1": numbered((2,), 50)}, [*range(742), 50, 51]),
            ({"1": numbered((2,), 50), "0": []}, [50, 51]),
            ({}, BOTH),
        ):
            assert executable.run(given).to_table().column("id").to_pylist() == wanted
        with pytest.raises(
            UsageError, match=r"no scan has plan node id '2': the plan's has '0', '"
        ):
            executable.run({"2": []})
        with pytest.raises(InvalidDataError, match="a batch lacks column id"):
            executable.run({"1": [pa.record_batch({"x": [1]})]}).to_table()


@pytest.mark.parametrize("count", [1, 742, 743, 2000])
def test_a_limit_above(threads: int, count: int) -> None:
    assert ids(both().limit(count), threads) == BOTH[:count]


def test_each_source_may_need_a_single_driver(threads: int) -> None:
    builder = PlanBuilder()
    parts = [
        builder.new_builder().values(numbered(SIZES[0])).aggregate([], ["sum(id) AS id"]),
        builder.new_builder().values(numbered(SIZES[1], 1000)).order_by(["id DESC"]).limit(3, 1),
        builder.new_builder().values(numbered((9, 9))).limit(12).filter("id > 9"),
    ]
    whole = builder.local_partition([part.plan() for part in parts]).project(["id * 2 AS id"])
    rows = [sum(range(742)), 1304, 1303, 1302, 10, 11]
    assert ids(whole, threads) == [2 * row for row in rows]


def test_unions_of_unions_and_what_stands_above(threads: int) -> None:
    builder = PlanBuilder()

    def part(start: int) -> PlanBuilder:
        return builder.new_builder().values(numbered((300, 40), start))

    inner = builder.new_builder().local_partition([part(0).plan(), part(1000).plan()]).plan()
    whole = builder.local_partition([part(2000).plan(), inner]).filter("id % 2 = 1")
    rows = [start + row for start in (2000, 0, 1000) for row in range(1, 340, 2)]
    assert ids(whole, threads) == rows
    whole.aggregate([], ["count() AS n", "sum(id) AS id"])
    with prepare(whole.plan(), threads) as executable:
        assert executable.run().to_table().to_pylist() == [{"n": len(rows), "id": sum(rows)}]


@pytest.mark.usefixtures("drivers")
def test_a_limit_frees_the_drivers_of_all_that_is_below_it() -> None:
    """Or they wait for ever in the lowest exchange, and what is read next waits for them."""
    builder = PlanBuilder()
    long = builder.new_builder().values(numbered((64,) * 100)).local_partition()
    parts = [long.plan(), builder.new_builder().values(numbered((1,))).plan()]
    limited = builder.new_builder().local_partition(parts).limit(3)
    following = builder.new_builder().values(numbered((64,) * 10, 1000))
    builder.local_partition([limited.plan(), following.plan()])
    for _ in range(5):
        assert ids(builder, 2) == [0, 1, 2, *range(1000, 1640)]


@pytest.mark.usefixtures("drivers")
def test_who_reads_ahead_still_takes_what_others_wait_to_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One driver is slow, one as far ahead of it as it may be; the caller is at the next source.

    That needs all three, and the second goes on when the caller takes what the first has made.
    """
    get_output, apply, last = Scan.get_output, Filter.apply, window(3)
    last_is_given, caller_reads_on = threading.Event(), threading.Event()

    def rows() -> Iterator[pa.RecordBatch]:
        for row in range(last + 1):
            if row == last:
                last_is_given.set()
            yield from numbered((1,), row)

    def scanned(scan: Scan) -> pa.RecordBatch | None:
        if threading.current_thread() is threading.main_thread():
            last_is_given.wait(5)
        return get_output(scan)

    def filtered(filter_: Filter, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        row = batch.column("id")[0].as_py()
        if row == 0:
            caller_reads_on.wait(5)
            time.sleep(0.05)  # until the caller has nothing more to do and waits
        elif row == 1003 and threading.current_thread() is threading.main_thread():
            caller_reads_on.set()
        return apply(filter_, batch)

    monkeypatch.setattr(Scan, "get_output", scanned)
    monkeypatch.setattr(Filter, "apply", filtered)
    builder = PlanBuilder()
    first = builder.new_builder().table_scan(from_batches(numbered((1,))[0].schema, rows()))
    first.filter("id >= 0")
    second = builder.new_builder().values(numbered((1,) * 4, 1000)).filter("id > 0")
    second.local_partition()
    builder.local_partition([first.plan(), second.plan()])
    assert ids(builder, 3) == [*range(last + 1), *range(1000, 1004)]


def test_sources_that_have_been_read_are_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run_once, calls = Driver.run_once, [0]

    def counted(driver: Driver) -> Progress:
        calls[0] += 1
        return run_once(driver)

    monkeypatch.setattr(Driver, "run_once", counted)
    assert len(ids(union(*[numbered((1,)) for _ in range(100)]), 1)) == 100
    assert calls[0] < 1000


class BrokenSourceError(Exception):
    pass


def failing(after: int) -> Iterator[pa.RecordBatch]:
    yield from numbered((20,) * after)
    raise BrokenSourceError


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("after", [0, 1, 30])
def test_an_error_in_one_source_ends_the_task(threads: int, position: int, after: int) -> None:
    streams: list[Iterator[pa.RecordBatch]] = [iter(numbered((700,))), iter(numbered((700,)))]
    streams[position] = failing(after)
    with prepare(union(*streams).plan(), threads) as executable:
        batches = iter(executable.run())
        with pytest.raises(BrokenSourceError):
            list(batches)
        assert list(batches) == []
        given = {"0": numbered((3,)), "1": numbered((3,))}
        assert executable.run(given).to_table().num_rows == 6


class Endless:
    """Batches of 16 rows without an end, counted."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while True:
            self.taken += 1
            yield pa.record_batch({"id": pa.array(range(16), pa.int64())})


def test_stopping_early_stops_the_drivers_of_all_sources(threads: int) -> None:
    with prepare(union([], []).plan(), threads) as executable:
        for first, second in ((Endless(), Endless()), (numbered((700,) * 3), Endless())):
            batches = iter(executable.run({"0": iter(first), "1": iter(second)}))
            next(batches)
            batches.close()  # type: ignore[attr-defined]
            assert second.taken <= window(threads) + threads + 1
            table = executable.run({"0": iter(first), "1": iter(second)})
            taken = 0
            for batch in table:
                taken += batch.num_rows
                if taken > 2500:
                    break
            table.close()
        given = {"0": numbered((3,)), "1": numbered((3,))}
        assert executable.run(given).to_table().num_rows == 6


def test_a_source_whose_turn_has_not_come_is_read_no_further_than_the_window(threads: int) -> None:
    """The first source gives its last row when it is told to; the second meanwhile fills up."""
    second, last = Endless(), threading.Event()

    def slow() -> Iterator[pa.RecordBatch]:
        yield from numbered((300, 300, 300))
        last.wait(timeout=0.3)
        yield from numbered((1,), 900)

    with prepare(union(slow(), iter(second)).plan(), threads) as executable:
        rows = 0
        for batch in executable.run():
            rows += batch.num_rows
            if rows == 901:
                break
        assert second.taken <= window(threads) + threads + 1


@pytest.mark.usefixtures("drivers")
def test_what_is_left_behind_in_one_source_does_not_keep_the_task() -> None:
    stuck, go_on = threading.Event(), threading.Event()

    def waits() -> Iterator[pa.RecordBatch]:
        yield from numbered((40,) * 6)
        stuck.set()
        if threading.current_thread() is not threading.main_thread():
            go_on.wait()

    with prepare(union(waits(), numbered((40,))).plan(), 2) as executable:
        held = iter(executable.run())
        for _ in held:
            if stuck.is_set():
                break
        start = time.monotonic()
        del held
        assert time.monotonic() - start < 30
        given = {"0": numbered((3,)), "1": numbered((3,))}
        assert executable.run(given).to_table().num_rows == 6
        go_on.set()


def test_short_streams_are_run_by_one_driver_each() -> None:
    with prepare(union([], []).plan(), 2) as executable:
        for sizes, num_drivers in (
            ((2, 3), 1),
            ((SHORT_STREAM_ROWS, SHORT_STREAM_ROWS), 1),
            ((SHORT_STREAM_ROWS, SHORT_STREAM_ROWS + 1), 2),
            ((2 * SHORT_STREAM_ROWS + 1, 1), 2),
        ):
            task = executable.run({"0": numbered(sizes[:1]), "1": numbered(sizes[1:])})
            assert task.to_table().num_rows == sum(sizes)
            operators = task.stats().operators
            scans = [o for o in operators if o.operator_type == "TableScan"]
            assert [o.num_drivers for o in scans] == [num_drivers] * 2
            assert [o.pipeline_id for o in operators] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("threads", [1, 2])
def test_statistics_of_every_node(threads: int) -> None:
    builder = PlanBuilder()
    first = builder.new_builder().values([images(500, seed=1)])
    second = builder.new_builder().values([images(300, seed=2)]).filter("label < 3")
    plan = builder.local_partition([first.plan(), second.plan()])
    plan.project({"best": argmax(network(residual_network()))})
    kept = 500 + sum(label < 3 for label in images(300, seed=2).column("label").to_pylist())
    with prepare(plan.plan(), threads, without={"prune_columns"}) as executable:
        task = executable.run(profile=True)
        task.to_table()
        stats = task.stats()
        text = plan_with_stats(executable.plan, stats)
    found = stats.plan_node_stats()
    rows = {node_id: (node.input_rows, node.output_rows) for node_id, node in found.items()}
    assert rows == {
        "0": (0, 500),
        "1": (0, 300),
        "2": (300, kept - 500),
        "3": (kept, kept),
        "4": (kept, kept),
    }
    assert found["3"].operator_types == ("LocalPartition", "LocalPartition", "LocalExchange")
    assert {step.rows for step in stats.steps} == {kept}
    lines = [line.partition("[")[0] for line in text.splitlines() if "-- " in line]
    assert lines == [
        "-- Project",
        "  -- LocalPartition",
        "    -- Values",
        "    -- Filter",
        "      -- Values",
    ]
    assert f"       Input: 300 rows ({images(300).nbytes / 1024:.2f}KB, " in text


def test_a_timeline_has_the_operators_of_all_pipelines() -> None:
    with prepare(both().plan(), 2) as executable:
        task = executable.run(trace=True)
        task.to_table()
    assert task.trace is not None
    names = {event["name"].partition(".")[0] for event in task.trace.events()}
    assert {"TableScan[0]", "TableScan[1]", "LocalPartition[2]", "LocalExchange[2]"} <= names
