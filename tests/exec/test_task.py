"""Tasks: order, threads, errors, early ends and bounded memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from exec.networks import column, images, residual_network
from generated import normal

from columnar_nn.data import tensor_column
from columnar_nn.data.arrow_source import from_batches
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.exec.morsels import (
    MORSEL_ROWS,
    UNKNOWN_BATCHES,
    ColumnSelection,
    SharedSource,
    morsel_rows,
)
from columnar_nn.exec.operators.aggregation import HashAggregation
from columnar_nn.exec.operators.local_exchange import window
from columnar_nn.exec.task_threads import SHORT_STREAM_ROWS
from columnar_nn.expressions.expression import argmax, softmax
from columnar_nn.kernels import Team
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.text import to_text

SIZES = (1, 700, 2, 32, 5, 300, 64)


def stream(sizes: tuple[int, ...] = SIZES) -> Iterator[pa.RecordBatch]:
    for seed, rows in enumerate(sizes):
        yield images(rows, seed=seed)


def network_plan(source: Iterator[pa.RecordBatch] | None = None) -> PlanBuilder:
    scan = from_batches(images(1).schema, source or stream())
    return PlanBuilder().table_scan(scan).project({"id": "id", "y": network(residual_network())})


@pytest.mark.usefixtures("drivers")
@pytest.mark.parametrize("fusion", ["none", "pipeline"])
def test_drivers_agree_and_keep_the_order(fusion: str) -> None:
    one = prepare(network_plan().plan(), 1, fusion).run().to_table()
    three = prepare(network_plan().plan(), 3, fusion).run().to_table()
    assert one.column("id").to_pylist() == [i for rows in SIZES for i in range(rows)]
    assert three.column("id").equals(one.column("id"))
    np.testing.assert_array_equal(column(three, "y"), column(one, "y"))


def test_an_executable_runs_any_number_of_times_over_other_batches() -> None:
    with prepare(network_plan().plan(), 2) as executable:
        for sizes in ((3,), (40, 1), (3,)):
            table = executable.run({"0": stream(sizes)}).to_table()
            assert table.num_rows == sum(sizes)


def test_the_whole_query(threads: int) -> None:
    batch = images(500)
    logits = network(residual_network())
    plan = (
        PlanBuilder()
        .values([batch])
        .filter("label < 3")
        .project({"label": "label", "prediction": argmax(logits)})
        .project(["prediction", "if(prediction = label, 1.0, 0.0) AS hit"])
        .aggregate(["prediction"], ["count(1) AS images", "avg(hit) AS accuracy"])
        .order_by(["prediction"])
        .plan()
    )
    table = prepare(plan, threads).run().to_table()
    everything = prepare(PlanBuilder().values([batch]).project({"y": logits}).plan()).run()
    predictions = column(everything.to_table(), "y").argmax(axis=1)
    labels = batch.column("label").to_numpy()
    predictions, labels = predictions[labels < 3], labels[labels < 3]
    assert table.to_pylist() == [
        {
            "prediction": value,
            "images": int((predictions == value).sum()),
            "accuracy": pytest.approx(float((labels[predictions == value] == value).mean())),
        }
        for value in np.unique(predictions).tolist()
    ]


def test_a_gather_is_put_where_one_driver_must_go_on() -> None:
    plan = PlanBuilder().values([images(4)]).filter("label < 3").aggregate([], ["avg(id)"])
    text = to_text(prepare(plan.plan(), 2).plan)
    assert [line.strip().partition("] ")[0][:40] for line in text.splitlines()] == [
        '-- Aggregation[2][FINAL a0 := avg(ROW["i',
        "-- LocalPartition[2.gather][GATHER",
        "-- Aggregation[2.partial][PARTIAL a0 := ",
        '-- Filter[1][expression: lt(cast ROW["la',
        "-- Values[0][4 rows in 1 vectors",
    ]
    assert "-> a0:ROW<sum:DOUBLE,count:BIGINT>" in text


def test_a_plan_may_gather_by_itself() -> None:
    plan = PlanBuilder().values([images(4)]).local_partition().limit(3).plan()
    for threads in (1, 2):
        table = prepare(plan, threads).run().to_table()
        assert table.column("id").to_pylist() == [0, 1, 2]


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("drivers")
def test_a_driver_far_ahead_waits_for_the_others_not_for_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller's driver goes ahead while another sleeps; the aggregation has no output yet."""
    add_input, slept = HashAggregation.add_input, threading.Event()

    def slow_at_first(aggregation: HashAggregation, batch: pa.RecordBatch) -> None:
        if threading.current_thread() is threading.main_thread():
            slept.wait(timeout=10)
        elif not slept.is_set():
            slept.set()
            time.sleep(0.5)
        add_input(aggregation, batch)

    monkeypatch.setattr(HashAggregation, "add_input", slow_at_first)
    plan = PlanBuilder().values([images(4) for _ in range(60)]).aggregate([], ["count(1) AS n"])
    with prepare(plan.plan(), 2) as executable:
        assert executable.run().to_table().to_pylist() == [{"n": 240}]
    assert slept.is_set()


class BrokenSourceError(Exception):
    pass


def failing(after: int) -> Iterator[pa.RecordBatch]:
    yield from stream((20,) * after)
    raise BrokenSourceError


@pytest.mark.parametrize("after", [0, 1, 30])
def test_an_error_ends_the_task_and_is_raised_once(threads: int, after: int) -> None:
    executable = prepare(network_plan(failing(after)).plan(), threads)
    batches = iter(executable.run())
    with pytest.raises(BrokenSourceError):
        list(batches)
    assert list(batches) == []
    assert executable.run({"0": stream((3,))}).to_table().num_rows == 3


def test_stopping_early_stops_the_drivers(threads: int) -> None:
    taken = 0

    def endless() -> Iterator[pa.RecordBatch]:
        nonlocal taken
        while True:
            taken += 1
            yield images(16)

    executable = prepare(network_plan(endless()).plan(), threads)
    batches = iter(executable.run())
    next(batches)
    batches.close()
    assert taken < 30
    assert executable.run({"0": stream((3,))}).to_table().num_rows == 3


def test_a_limit_stops_an_endless_source(threads: int) -> None:
    def endless() -> Iterator[pa.RecordBatch]:
        while True:
            yield images(16)

    plan = network_plan(endless()).limit(100).plan()
    assert prepare(plan, threads).run().to_table().num_rows == 100


def test_drivers_do_not_run_far_ahead_of_a_slow_consumer(threads: int) -> None:
    given = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal given
        for _ in range(200):
            given += 1
            yield images(2)

    most = window(threads)
    for received, _ in enumerate(prepare(network_plan(counted()).plan(), threads).run(), start=1):
        assert given <= received + most + threads + 1
    assert given == 200


@pytest.mark.usefixtures("drivers")
def test_memory_does_not_depend_on_the_number_of_images() -> None:
    peaks = []
    for count in (4, 40):
        task = prepare(network_plan(stream((64,) * count)).plan(), 2).run()
        task.to_table()
        peaks.append(task.stats().peak_memory_bytes)
    assert peaks[1] < 3 * peaks[0]


def pipelines_of(
    executable: Executable, batches: Iterable[pa.RecordBatch], profile: bool = False
) -> int:
    """How many pipelines a task over these batches is cut into."""
    task = executable.run({"0": batches}, profile)
    task.to_table()
    return len({operator.pipeline_id for operator in task.stats().operators})


def test_short_streams_are_left_to_one_driver() -> None:
    with prepare(network_plan().plan(), 2) as executable:
        half = SHORT_STREAM_ROWS
        for sizes in ((), (0,), (1,), (2 * half,), (half, half), (0, half, half)):
            assert pipelines_of(executable, list(stream(sizes))) == 1
        for sizes in ((2 * half + 1,), (half, half, half)):
            assert pipelines_of(executable, list(stream(sizes))) == 2
        assert pipelines_of(executable, [images(1)], profile=True) == 2


def test_a_stream_of_unknown_length_is_long_if_its_first_batch_is_large() -> None:
    with prepare(network_plan().plan(), 2) as executable:
        small = 2 * SHORT_STREAM_ROWS // UNKNOWN_BATCHES
        assert pipelines_of(executable, stream((small, 1, 1))) == 1
        assert pipelines_of(executable, stream((small + 1,))) == 2


@pytest.mark.parametrize("threads", [2, 3])
def test_the_threads_of_one_driver_share_kernels_in_every_operator(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    run = Team.run

    def counted(team: Team, *arguments: Any) -> None:
        runs.append(team.size)
        run(team, *arguments)

    monkeypatch.setattr(Team, "run", counted)
    batches = [
        pa.record_batch({"x": tensor_column.from_numpy(normal(rows, rows, 10))})
        for rows in (5, 40, 3)
    ]
    for plan in (
        PlanBuilder().values(batches).project({"y": softmax("x")}).plan(),
        PlanBuilder().values(batches).filter("argmax(x) < 5").plan(),
        PlanBuilder().values(batches).aggregate([], ["max(argmax(x)) AS most"]).plan(),
    ):
        one, several = prepare(plan, 1), prepare(plan, threads)
        expected = one.run().to_table()
        runs.clear()
        assert several.run().to_table().equals(expected)
        assert runs == [threads] * len(batches)


@pytest.mark.parametrize("fusion", ["none", "pipeline"])
@pytest.mark.parametrize("threads", [2, 3])
def test_small_batches_are_shared_by_the_threads(threads: int, fusion: str) -> None:
    one = prepare(network_plan().plan(), 1, fusion)
    several = prepare(network_plan().plan(), threads, fusion)
    for seed in range(20):
        batch = images(2 + seed % 5, seed=seed)  # one small image is not shared
        before = threading.active_count()
        shared = several.run({"0": [batch]}).to_table()
        assert seed or threading.active_count() > before
        assert shared.equals(one.run({"0": [batch]}).to_table())


def test_batches_that_are_kept_do_not_change() -> None:
    with prepare(network_plan().plan()) as executable:
        kept = [executable.run({"0": [images(3, seed=seed)]}).to_table() for seed in range(50)]
        again = [executable.run({"0": [images(3, seed=seed)]}).to_table() for seed in range(50)]
    assert all(first.equals(second) for first, second in zip(kept, again, strict=True))


def morsels(rows: int, batches: int, drivers: int) -> list[int]:
    """Sizes of the morsels of a stream that tells its length."""
    pieces = []
    for after in reversed(range(batches)):
        left = rows
        while left:
            pieces.append(min(left, morsel_rows(left, rows, rows * after, drivers, MORSEL_ROWS)))
            left -= pieces[-1]
    return pieces


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 32, 100, 2000])
@pytest.mark.parametrize("drivers", [1, 2, 4, 16])
def test_morsels_are_bounded_and_shared(rows: int, drivers: int) -> None:
    pieces = morsels(rows, 1, drivers)
    assert sum(pieces) == rows
    assert max(pieces) <= MORSEL_ROWS
    assert len(pieces) > min(rows, drivers) * 3 // 4
    assert max(pieces[-drivers:]) <= max(4, drivers, -(-rows // drivers))


@pytest.mark.parametrize("drivers", [2, 8, 16])
def test_morsels_of_a_long_stream_are_batches_at_first_and_small_at_last(drivers: int) -> None:
    pieces = morsels(128, 8 * drivers, drivers)
    assert pieces[: 4 * drivers] == [128] * (4 * drivers)
    assert max(pieces[-drivers:]) <= 16
    assert len(pieces) < 16 * drivers


@pytest.mark.parametrize(("tells", "small"), [(True, 0), (False, 12)])
def test_a_stream_is_expected_to_last_as_it_has_if_it_does_not_tell(
    tells: bool, small: int
) -> None:
    stream = [images(32)] * 64
    selection = ColumnSelection(stream[0].schema, narrow=False)
    shared = SharedSource(iter(stream) if tells else (batch for batch in stream), selection)
    shared.num_drivers = 2
    pieces = []
    while (morsel := shared.next_morsel()) is not None:
        pieces.append(morsel[1].num_rows)
    assert sum(pieces) == 64 * 32
    assert pieces.index(32) == small


def test_batches_must_have_the_columns_of_the_plan() -> None:
    executable = prepare(network_plan().plan())
    with pytest.raises(InvalidDataError, match="a batch lacks column id"):
        list(executable.run({"0": [images(1).select(["label", "image"])]}))
    other = images(1, (3, 8, 8))
    with pytest.raises(InvalidDataError, match="column image of a batch is"):
        list(executable.run({"0": [other]}))


def test_unknown_levels_and_algorithms() -> None:
    with pytest.raises(UsageError, match="no fusion level 'most': use none, layer, pipeline"):
        prepare(network_plan().plan(), fusion="most")
    with pytest.raises(UsageError, match="no algorithm 'fft'"):
        prepare(network_plan().plan(), algorithm="fft")
