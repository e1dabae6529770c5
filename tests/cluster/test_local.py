"""A network on Spark's DataFrames in this process: `local[2]`, which does not retry."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cluster.conftest import NUM, logits

from bench.cluster.equality import collected
from bench.cluster.session import session
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.integrations.spark import map_batches, register_function
from columnar_nn.model import zoo

SETTINGS = {"spark.sql.files.openCostInBytes": "1"}


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with session("spark", "local[2]", SETTINGS) as opened:
        yield opened.spark


@pytest.fixture(scope="module")
def frame(spark: Any, images: Path) -> Any:
    return spark.read.parquet(str(images / "images"))


def test_rows_are_exact_and_logits_equal_bit_for_bit(frame: Any, expected: pa.Table) -> None:
    result = collected(map_batches(frame, outputs=["predicted", "logits"]))
    assert result["id"].to_pylist() == list(range(NUM))
    assert result["predicted"].equals(expected["predicted"])
    assert np.array_equal(logits(result), logits(expected))


def test_the_network_may_travel_as_a_path_or_as_bytes(frame: Any, expected: pa.Table) -> None:
    path = zoo.WEIGHTS / "plain9.onnx"
    few = frame.where("id < 300")
    for source in (path, path.read_bytes()):
        result = collected(map_batches(few, source, outputs=["logits"]))
        assert np.array_equal(logits(result), logits(expected)[:300])


def broken(frame: Any) -> Any:
    from pyspark.sql import functions

    null = functions.when(functions.col("id") == 7, None)
    short = null.when(functions.col("id") == 8, functions.expr("substring(image, 1, 100)"))
    return frame.where("id < 100").withColumn("image", short.otherwise(functions.col("image")))


def test_bad_rows_are_data_or_fail_in_the_driver(spark: Any, frame: Any, expected: Any) -> None:
    rows = map_batches(broken(frame), bad="null").orderBy("id").collect()
    assert [row.id for row in rows] == list(range(100))
    assert {row.id: row.error for row in rows if row.error} == {
        7: "the image is null",
        8: "the image has 100 bytes instead of 3,072",
    }
    wanted = expected["predicted"].to_pylist()
    assert all(row.predicted == (None if row.error else wanted[row.id]) for row in rows)
    with pytest.raises(InvalidDataError, match=r"2 row.s. .* id 7 \| id 8; drop them"):
        map_batches(broken(frame))


@pytest.mark.parametrize("kind", ["array<tinyint>", "array<smallint>", "array<float>"])
def test_arrays_are_images_too(spark: Any, kind: str) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (6, 3072))
    given = {
        "array<tinyint>": pixels.astype(np.uint8).view(np.int8),
        "array<smallint>": pixels,
        "array<float>": (pixels / 255).astype(np.float32),
    }[kind]
    rows: list[Any] = [(i, row.tolist()) for i, row in enumerate(given)]
    rows[2] = (2, None)
    rows[3] = (3, rows[3][1][:5])
    rows[4][1][9] = None
    frame = spark.createDataFrame(rows, f"id bigint, image {kind}")
    found = map_batches(frame, bad="null", outputs=["logits"]).orderBy("id").collect()
    assert [row.id for row in found if row.error] == [2, 3, 4]
    with pytest.raises(InvalidDataError, match=r"3 row.s."):
        map_batches(frame)
    from columnar_nn.integrations.batches import infer

    binary = pa.array([p.astype(np.uint8).tobytes() for p in pixels], pa.binary())
    batch = pa.record_batch([pa.array(range(6)), binary], ["id", "image"])
    (wanted,) = infer([batch], outputs=["logits"])
    for row in found:
        if not row.error:
            exact = wanted["logits"][row.id].as_py()
            assert np.allclose(row.logits, exact, rtol=1e-5, atol=1e-4)


def test_columns_of_any_type_are_kept(spark: Any, frame: Any) -> None:
    rows = [
        (1, "é", decimal.Decimal("1.50"), datetime.date(2026, 1, 2), [1, None], {"a": 1}, (2, "x")),
        (2, None, None, None, None, None, None),
    ]
    kept = (
        "id bigint, `a name` string, money decimal(9,2), day date, list array<int>, "
        "map map<string,int>, pair struct<n:int,t:string>"
    )
    others = spark.createDataFrame(rows, kept)
    mine = others.join(frame.select("id", "image"), "id")
    found = map_batches(mine).drop("predicted").orderBy("id").collect()
    assert [tuple(row) for row in found] == [tuple(row) for row in others.orderBy("id").collect()]


def test_wrong_use_is_said_in_the_driver(spark: Any, frame: Any) -> None:
    with pytest.raises(InvalidDataError, match="is string, which holds no images"):
        map_batches(frame.selectExpr("id", "'a' as image"))
    with pytest.raises(UsageError, match="cannot travel as Graph"):
        map_batches(frame, zoo.resolve("plain9"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="would be there twice"):
        map_batches(frame.withColumn("predicted", frame.id))
    with pytest.raises(UsageError, match="choose from null, fail"):
        map_batches(frame, bad="skip")


def test_sql_can_call_it(spark: Any, frame: Any, expected: pa.Table) -> None:
    from pyspark.sql import functions

    if not hasattr(functions, "arrow_udf"):
        with pytest.raises(UsageError, match=r"need pyspark 4\.1 or later"):
            register_function(spark, "classify")
        return
    register_function(spark, "classify", outputs=["predicted", "logits"])
    broken(frame).createOrReplaceTempView("images")
    query = "SELECT id, classify(image) AS made FROM images ORDER BY id"
    rows = spark.sql(query).collect()
    assert [row.id for row in rows] == list(range(100))
    for row in rows:
        if row.id in (7, 8):
            assert row.made.predicted is row.made.logits is None
            assert row.made.error
        else:
            assert np.array_equal(np.float32(row.made.logits), logits(expected)[row.id])


def test_a_stream_of_files(spark: Any, frame: Any, images: Path, tmp_path: Path) -> None:
    stream = spark.readStream.schema(frame.schema).option("maxFilesPerTrigger", 3)
    stream = stream.parquet(str(images / "images"))
    with pytest.raises(UsageError, match="a stream cannot be looked through"):
        map_batches(stream)
    made = map_batches(stream, bad="null")
    query = (
        made.writeStream.format("parquet")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start(str(tmp_path / "out"))
    )
    try:
        assert query.awaitTermination(300)
    finally:
        query.stop()
    assert query.exception() is None
    ids = collected(spark.read.parquet(str(tmp_path / "out")).select("id"))["id"].to_pylist()
    assert ids == list(range(NUM))


def test_a_network_is_prepared_once_a_worker(frame: Any) -> None:
    """Of more tasks than workers each tells how many networks its process has read by then."""
    from columnar_nn.integrations import prepared, spark

    outputs = ("probabilities", "logits")  # asked for nowhere else
    made = spark.call(frame.repartition(12), "plain9", "image", (), outputs, "uint8", "null")
    task = made.task

    def counting(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import os

        before = prepared._kept.network.cache_info().misses  # type: ignore[attr-defined]
        for _ in task(batches):
            pass
        after = prepared._kept.network.cache_info().misses  # type: ignore[attr-defined]
        yield pa.record_batch([pa.array([os.getpid()]), pa.array([after - before])], ["pid", "n"])

    rows = made.source.mapInArrow(counting, "pid bigint, n bigint").collect()
    assert len(rows) == 12
    workers = {row.pid for row in rows}
    assert len(workers) < 12
    assert all(sum(row.n for row in rows if row.pid == pid) == 1 for pid in workers)
