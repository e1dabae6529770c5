"""Executable.call: the output for one batch, as a task over that batch alone gives it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from exec.networks import images, residual_network

from columnar_nn.data import tensor_column
from columnar_nn.data.arrow_source import from_batches
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.exec.morsels import MORSEL_ROWS
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder


def builder(schema: pa.Schema) -> PlanBuilder:
    return PlanBuilder().table_scan(from_batches(schema, []))


def network_over(schema: pa.Schema, threads: int, fusion: str = "pipeline") -> Executable:
    outputs = {"id": "id", "y": network(residual_network())}
    return prepare(builder(schema).project(outputs).plan(), threads, fusion)


@pytest.fixture(params=[1, 2])
def executable(request: pytest.FixtureRequest) -> Iterator[Executable]:
    with network_over(images(1).schema, request.param) as made:
        yield made


def by_task(executable: Executable, batch: pa.RecordBatch) -> pa.Table:
    return executable.run({"0": [batch]}).to_table()


def with_more_rows_than_values() -> pa.RecordBatch:
    batch = images(77)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content = sink.getvalue().to_pybytes()
    rows, more = ((count).to_bytes(8, "little") for count in (77, 77_000_000))
    return pa.ipc.open_stream(content.replace(rows, more)).read_next_batch()


@pytest.mark.parametrize("fusion", ["none", "pipeline"])
@pytest.mark.parametrize("threads", [1, 2])
def test_as_a_task_of_the_same_batch(threads: int, fusion: str) -> None:
    with network_over(images(1).schema, threads, fusion) as executable:
        for seed, rows in enumerate((1, 2, 33, MORSEL_ROWS, MORSEL_ROWS + 1, 700)):
            batch = images(rows + 3, seed=seed).slice(2, rows)
            output = executable.call(batch)
            assert isinstance(output, pa.RecordBatch)
            assert pa.Table.from_batches([output]).equals(by_task(executable, batch))
        nothing = executable.call(images(0))
        assert (nothing.num_rows, nothing.schema) == (0, executable.output_type)


def test_columns_that_are_in_another_place_and_projections_of_projections() -> None:
    batch = images(5)
    plan = builder(batch.schema).project({"n": "id + 1", "id": "id"}).project({"m": "n * id"})
    with prepare(plan.plan()) as executable:
        assert executable.call(batch).to_pydict() == {"m": [n * (n + 1) for n in range(5)]}
        turned = batch.select(["label", "image", "id"])
        assert executable.call(turned).to_pydict() == {"m": [0, 2, 6, 12, 20]}


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, 3e38])
def test_what_winograds_algorithm_would_spread_is_convolved_directly(spoiled: float) -> None:
    pixels = np.random.default_rng(1).random((4, 3, 9, 7), np.float32)
    pixels[2, 1, 4, 3] = spoiled
    columns = {"id": pa.array(range(4)), "image": tensor_column.from_numpy(pixels)}
    batch = pa.record_batch(columns)
    with network_over(batch.schema, 1) as executable:
        table = by_task(executable, batch)
        called = pa.Table.from_batches([executable.call(batch)])
        as_bits = [t["y"].combine_chunks().storage.values.view(pa.int32()) for t in (table, called)]
        assert as_bits[0].equals(as_bits[1])
        finite = np.isfinite(tensor_column.to_numpy(called["y"].combine_chunks())).all(axis=1)
        assert finite[[0, 1, 3]].all()


def test_what_is_kept_does_not_change(executable: Executable) -> None:
    kept = [executable.call(images(1, seed=seed)) for seed in range(40)]
    for seed, batch in enumerate(kept):
        assert batch.equals(executable.call(images(1, seed=seed)))


def test_other_batches_are_refused_and_the_next_is_answered(executable: Executable) -> None:
    def over_image(column: pa.Array) -> pa.RecordBatch:
        return pa.record_batch({"id": pa.array([0]), "image": column})

    good = executable.call(images(1))
    types = tensor_column.tensor_type("uint8", (3, 9, 7))
    null = pa.ExtensionArray.from_storage(types, pa.nulls(1, types.storage_type))
    for batch, message in (
        (images(1, (3, 8, 8)), "column image of a batch is"),
        (images(1).select(["image"]), "a batch lacks column id"),
        (over_image(null), "1 null"),
        (with_more_rows_than_values(), "a batch is damaged"),
        (images(1).to_pydict(), "a source of batches gave dict"),
    ):
        with pytest.raises(InvalidDataError, match=message):
            executable.call(batch)
        assert executable.call(images(1)).equals(good)


def test_a_plan_that_does_more_is_refused() -> None:
    filtered = builder(images(1).schema).filter("label > 2").project({"id": "id"}).plan()
    with (
        prepare(filtered) as executable,
        pytest.raises(UsageError, match=r"takes a plan of one scan and projections: use run\(\)"),
    ):
        executable.call(images(1))


def test_it_counts_as_a_task(executable: Executable) -> None:
    held = iter(executable.run({"0": [images(3), images(3)]}))
    next(held)
    with pytest.raises(UsageError, match="runs another task"):
        executable.call(images(1))
    assert sum(batch.num_rows for batch in held) == 3
    assert executable.call(images(1)).num_rows == 1
    executable.close()
    with pytest.raises(UsageError, match="executable has been closed"):
        executable.call(images(1))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_time_of_each_kernel_of_each_projection(threads: int) -> None:
    outputs = network(residual_network())
    first = builder(images(1).schema).project({"image": "image", "y": outputs})
    with prepare(first.project({"y": "y", "z": outputs}).plan(), threads) as executable:
        nanoseconds = np.zeros(len(executable.steps), np.int64)
        timed = executable.call(images(3), nanoseconds)
        assert len({step.plan_node_id for step in executable.steps}) == 2
        assert (nanoseconds > 0).all()
        assert timed.equals(executable.call(images(3)))
