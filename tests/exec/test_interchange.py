"""What a task gives is a table to pandas, polars, DuckDB and pyarrow, by the C interface."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import columnar_nn as cnn

ROWS = 300
FEATURES = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
NAMES = [None if row % 7 == 0 else f"n{row % 3}" for row in range(ROWS)]
TABLE = pa.table({"id": range(ROWS), "x": cnn.from_numpy(FEATURES), "s": NAMES})
BEST = FEATURES.argmax(axis=1)


def plan() -> cnn.PlanNode:
    columns = {"id": "id", "best": cnn.argmax("x"), "y": cnn.call("relu", "x"), "s": "s"}
    return cnn.PlanBuilder().table_scan(TABLE).project(columns).plan()


@pytest.fixture(scope="module")
def executable() -> cnn.Executable:
    return cnn.prepare(plan(), threads=2)


def test_pyarrow(executable: cnn.Executable) -> None:
    expected = executable.run().to_table()
    assert pa.table(executable.run()).equals(expected)
    assert pa.RecordBatchReader.from_stream(executable.run()).read_all().equals(expected)
    task = executable.run()
    assert pa.schema(task) == expected.schema  # and reads nothing
    assert task.to_table().equals(expected)
    wider = expected.schema.set(1, pa.field("best", pa.float64()))
    reader = pa.RecordBatchReader.from_stream(executable.run(), schema=wider)
    assert reader.read_all()["best"].to_pylist() == BEST.tolist()


def test_polars(executable: cnn.Executable) -> None:
    frame = pl.DataFrame(executable.run())
    assert frame["best"].to_list() == BEST.tolist()
    assert frame["s"].to_list() == NAMES
    np.testing.assert_array_equal(cnn.to_numpy(frame["y"]), np.maximum(FEATURES, 0))


def test_pandas(executable: cnn.Executable) -> None:
    frame = pa.table(executable.run()).to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["best"].tolist() == BEST.tolist()
    np.testing.assert_array_equal(np.stack(frame["y"]), np.maximum(FEATURES, 0))


def test_duckdb(executable: cnn.Executable) -> None:
    task = executable.run()
    query = "SELECT s, count(*), sum(best), max(y[1]) FROM task GROUP BY ALL ORDER BY s"
    found = duckdb.connect().execute(query).fetchall()
    assert task.state == "over"
    for name, *row in found:
        mine = [index for index, each in enumerate(NAMES) if each == name]
        assert row == [len(mine), BEST[mine].sum(), max(FEATURES[mine, 0].max(), 0)]
    assert len(found) == len(set(NAMES))


def test_the_engine_itself(executable: cnn.Executable) -> None:
    """There and back: what a task, a frame of polars or one of pandas holds is a table of SQL."""
    query = "SELECT sum(best) AS total FROM t WHERE argmax(relu(y)) = best"
    expected = int(BEST[FEATURES.max(axis=1) > 0].sum())
    frame = pl.DataFrame(executable.run())
    for table in (executable.run(), executable.run().to_table(), frame):
        assert cnn.sql(query, t=table)["total"].to_pylist() == [expected]


def test_images_of_frames_are_those_of_numpy() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 3, 32, 32), dtype=np.uint8)
    flat = pixels.reshape(9, -1)
    arrays = {"image": pixels}
    plans = [
        cnn.PlanBuilder().table_scan(table).project({"logits": cnn.network("plain9")}).plan()
        for table in (
            arrays,
            pl.DataFrame(arrays),
            pl.DataFrame({"image": flat}),
            pd.DataFrame({"image": list(pixels)}),
            pd.DataFrame({"image": list(flat)}),
            pd.DataFrame({"image": [image.tobytes() for image in pixels]}),
        )
    ]
    expected, *others = (cnn.to_numpy(cnn.prepare(p).run().to_table()["logits"]) for p in plans)
    assert np.ptp(expected) > 1
    for found in others:
        np.testing.assert_array_equal(found, expected)


def test_a_task_is_read_once_by_whoever_reads_it(executable: cnn.Executable) -> None:
    task = executable.run()
    pl.DataFrame(task)
    with pytest.raises(cnn.UsageError, match="a task is read once"):
        pl.DataFrame(task)


def test_a_failure_is_told_with_its_cause() -> None:
    big = {"id": [2**62]}
    task = cnn.prepare(cnn.PlanBuilder().table_scan(big).project(["id * 8 AS y"]).plan()).run()
    with pytest.raises(pa.ArrowException, match="multiply: overflow; filter such rows out"):
        pa.table(task)
    assert task.state == "over"
