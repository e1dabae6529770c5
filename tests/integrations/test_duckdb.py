"""A network inside DuckDB gives what the engine gives alone, from any of its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import columnar_nn
from columnar_nn.data import tensor_column
from columnar_nn.errors import CnnBenchError, UsageError
from columnar_nn.integrations import prepared
from columnar_nn.integrations.duckdb import register

ROWS = 6000


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (ROWS, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def connection(images: np.ndarray) -> duckdb.DuckDBPyConnection:
    """A table of images, as tensors, bytes with nulls, and lists; on four threads."""
    made = duckdb.connect()
    made.execute("set threads = 4")
    table = pa.table(
        {
            "id": range(ROWS),
            "image": tensor_column.from_numpy(images),
            "bytes": [image.tobytes() if i % 7 else None for i, image in enumerate(images)],
            "list": pa.array(list(images.reshape(ROWS, -1)), pa.list_(pa.uint8())),
        }
    )
    made.register("view", table)
    made.execute("create table t as select * from view")
    register(made, "plain9")
    register(made, "predicted", "plain9", output="predicted")
    return made


def test_the_same_outputs_as_alone(
    images: np.ndarray, connection: duckdb.DuckDBPyConnection
) -> None:
    logits = columnar_nn.network(columnar_nn.load_network("plain9"), "image")
    table = pa.table({"image": tensor_column.from_numpy(images)})
    plan = columnar_nn.PlanBuilder().table_scan(table).project({"logits": logits}).plan()
    alone = columnar_nn.prepare(plan).run().to_table().column("logits")
    expected = np.concatenate([tensor_column.to_numpy(chunk) for chunk in alone.chunks])
    rows = connection.execute(
        "select plain9(image), plain9(list), plain9(bytes), predicted(bytes) from t order by id"
    ).fetchall()
    for column in (0, 1):
        assert np.array_equal(np.array([row[column] for row in rows], np.float32), expected)
    for number, row in enumerate(rows):
        if number % 7:
            assert row[2] == row[0]
            assert row[3] == int(np.argmax(expected[number]))
        else:
            assert row[2:] == (None, None)


def test_a_network_is_prepared_once_a_thread(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    build = prepared.PreparedNetwork.__init__

    def counted(self: prepared.PreparedNetwork, *arguments: Any) -> None:
        made.append(threading.get_native_id())
        build(self, *arguments)

    monkeypatch.setattr(prepared.PreparedNetwork, "__init__", counted)
    register(connection, "kept", "plain9", output="predicted")
    for _ in range(3):
        connection.execute("select max(kept(image)) from t").fetchall()
    assert len(made) == len(set(made)) <= 5


def test_no_rows_and_a_null_of_no_type(connection: duckdb.DuckDBPyConnection) -> None:
    assert connection.execute("select plain9(image) from t where id < 0").fetchall() == []
    assert connection.execute("select plain9(null)").fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("plain9(id)", "column image is int64, which holds no images"),
        ("plain9([1]::utinyint[])", "the image has 1 values instead of 3,072"),
        ("plain9({'a': bytes})", "which holds no images"),
        ("plain9('abc'::blob)", "the image has 3 bytes instead of 3,072"),
        ("plain9(bytes, id)", "plain9 takes one argument"),
    ],
)
def test_what_is_no_image_ends_the_query(
    call: str, message: str, connection: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        connection.execute(f"select {call} from t").fetchall()


def closed() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.close()
    return made


def test_two_networks_and_one_that_is_removed(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, "other", "resnet20")
    counted = "select count(plain9(bytes)), count(other(list)) from t where id < 70"
    assert connection.execute(counted).fetchall() == [(60, 70)]
    connection.remove_function("other")
    register(connection, "other", "plain9")
    same = "select count(*) from t where id < 70 and plain9(list) = other(image)"
    assert connection.cursor().execute(same).fetchall() == [(70,)]
    connection.remove_function("other")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda c: register(c, "plain9"), "the connection has a function plain9"),
        (lambda c: register(c, "PLAIN9"), "the connection has a function PLAIN9"),
        (lambda c: register(c, "sum"), "has a function sum: remove it first, or use another name"),
        (lambda c: register(closed(), "plain9"), "cannot add plain9: the connection is closed"),
        (lambda c: register(None, "plain9"), "NoneType is no connection: use duckdb.connect"),
        (lambda c: register(c, "a b"), "use letters, digits and _"),
        (lambda c: register(c, "x", output="nope"), "plain9 has no output nope"),
        (lambda c: register(c, "x", "nope"), "unknown model 'nope'"),
    ],
)
def test_refused(
    arguments: Callable[[duckdb.DuckDBPyConnection], None],
    message: str,
    connection: duckdb.DuckDBPyConnection,
) -> None:
    with pytest.raises(CnnBenchError, match=message) as caught:
        arguments(connection)
    assert isinstance(caught.value, UsageError)
