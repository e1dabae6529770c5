"""The same calls on Sail, a Spark Connect server without a JVM, in an environment of its own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cluster.conftest import NUM, logits
from pyarrow import parquet

from bench.cluster.equality import collected
from bench.cluster.job import Job, run
from bench.cluster.session import Opened, session
from bench.text.progress import silent
from columnar_nn.errors import InvalidDataError
from columnar_nn.integrations.spark import map_batches, register_function

for package in ("pysail", "pyspark-client"):
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        reason = f"{package} is not installed: make sail-test"
        pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    with session("sail", "", {}) as made:
        yield made


def test_logits_are_equal_bit_for_bit(opened: Opened, images: Path, expected: pa.Table) -> None:
    frame = opened.spark.read.parquet(str(images / "images"))
    found = collected(map_batches(frame, outputs=["predicted", "logits"]))
    assert found["id"].to_pylist() == list(range(NUM))
    assert found["predicted"].to_pylist() == expected["predicted"].to_pylist()
    assert np.array_equal(logits(found), logits(expected))


def test_a_run_writes_what_it_counts(
    opened: Opened, images: Path, expected: pa.Table, tmp_path: Path
) -> None:
    job = Job(
        "plain9",
        str(images / "images"),
        where="id < 1500",
        labels=str(images / "labels.parquet"),
        group_by=("predicted", "label"),
    )
    outcome = run(opened, job, tmp_path, silent)
    labels = parquet.read_table(images / "labels.parquet")["label"].to_pylist()
    predicted = expected["predicted"].to_pylist()
    right = sum(a == b for a, b in zip(predicted[:1500], labels[:1500], strict=True))
    assert (outcome.rows, outcome.bad, outcome.correct) == (1500, 0, right)
    assert outcome.costs is None
    table = parquet.read_table(tmp_path / "predictions").sort_by("id")
    assert table["id"].to_pylist() == list(range(1500))
    assert table["predicted"].to_pylist() == predicted[:1500]


def test_bad_rows_are_data_or_fail_in_the_driver(
    opened: Opened, expected: pa.Table, images: Path, tmp_path: Path
) -> None:
    table = parquet.read_table(images / "images" / "00000.parquet")
    pixels = table["image"].to_pylist()
    pixels[3], pixels[5] = None, pixels[5][:9]
    broken = pa.table({"id": table["id"], "image": pa.array(pixels, pa.binary())})
    parquet.write_table(broken, tmp_path / "broken.parquet")
    frame: Any = opened.spark.read.parquet(str(tmp_path / "broken.parquet"))
    found = collected(map_batches(frame, bad="null"))
    wanted: list[int | None] = expected["predicted"].to_pylist()[: table.num_rows]
    wanted[3] = wanted[5] = None
    assert found["predicted"].to_pylist() == wanted
    assert found["error"].null_count == table.num_rows - 2
    with pytest.raises(InvalidDataError, match=r"2 row.s. without an image .* id 3 \| id 5"):
        map_batches(frame)


def test_sql_can_call_it(opened: Opened, images: Path, expected: pa.Table) -> None:
    register_function(opened.spark, "classify")
    opened.spark.read.parquet(str(images / "images")).createOrReplaceTempView("images")
    rows = opened.spark.sql(
        "SELECT id, classify(image).predicted AS p FROM images WHERE id < 50 ORDER BY id"
    ).collect()
    assert [row.p for row in rows] == expected["predicted"].to_pylist()[:50]
