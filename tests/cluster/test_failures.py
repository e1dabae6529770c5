"""kill -9 of Python workers and executors: Spark runs their tasks again, the result is exact."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from cluster.conftest import NUM, logits

from bench.cluster import status
from bench.cluster.session import session
from bench.cluster.standalone import executors, python_workers, standalone
from columnar_nn.integrations.spark import map_batches

COPIES = 4
SETTINGS = {"spark.sql.files.openCostInBytes": "1g", "spark.sql.files.maxPartitionBytes": "1g"}
"""A split is a file."""

WIDTH = "4"


@pytest.fixture(scope="module", params=["standalone", "local-cluster[2,1,1024]"])
def cluster(request: Any) -> Iterator[tuple[Any, list[int]]]:
    """A session on two executors, and the processes that they are below."""
    if request.param == "standalone":
        with (
            standalone(workers=2) as running,
            session("spark", running.master, SETTINGS) as opened,
        ):
            yield opened.spark, [process.pid for process in running.processes]
    else:
        settings = {**SETTINGS, "spark.executorEnv.CNN_BENCH_VECTOR_WIDTH": WIDTH}
        with session("spark", request.param, settings) as opened:
            yield opened.spark, [os.getpid()]


def predictions(spark: Any, images: Path) -> Any:
    """COPIES times as many images as there are, with the ids that follow."""
    frame = spark.read.parquet(str(images / "images"))
    parts = [frame.withColumn("id", frame.id + NUM * copy) for copy in range(COPIES)]
    for part in parts[1:]:
        parts[0] = parts[0].union(part)
    return map_batches(parts[0], bad="null")


def kill(
    spark: Any, find: Callable[[list[int]], list[psutil.Process]], roots: list[int]
) -> list[int]:
    """Kills one of those found once some tasks are done and some are not; what it killed.

    It may have been between two tasks: then another one is killed, until a task has failed.
    """
    tracker = spark.sparkContext.statusTracker()
    failed = status.tasks(spark).failed
    killed: list[int] = []
    patience_ends = time.monotonic() + 120
    while time.monotonic() < patience_ends and status.tasks(spark).failed == failed:
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        begun = [s for s in stages if s and 2 <= s.numCompletedTasks < s.numTasks - 4]
        if begun and (found := find(roots)):
            found[0].kill()
            killed.append(found[0].pid)
            time.sleep(1.5)  # until Spark has noticed
        time.sleep(0.02)
    return killed


@pytest.mark.parametrize("find", [python_workers, executors])
def test_what_is_killed_is_run_again(
    cluster: tuple[Any, list[int]],
    images: Path,
    expected: pa.Table,
    find: Callable[[list[int]], list[psutil.Process]],
) -> None:
    spark, roots = cluster
    killed: list[int] = []
    before = status.tasks(spark)
    killer = threading.Thread(target=lambda: killed.extend(kill(spark, find, roots)))
    killer.start()
    try:
        table = predictions(spark, images).toArrow().sort_by("id")
    finally:
        killer.join()
    assert killed
    assert status.tasks(spark).since(before).failed >= 1
    assert table["id"].to_pylist() == list(range(NUM * COPIES))
    assert table["error"].null_count == NUM * COPIES
    assert table["predicted"].to_pylist() == expected["predicted"].to_pylist() * COPIES


def test_executors_compute_what_their_processor_can(
    cluster: tuple[Any, list[int]], images: Path, expected: pa.Table
) -> None:
    """Bit for bit on one kind of processor; on another, within docs/cluster.md's tolerance."""
    spark, _ = cluster
    frame = spark.read.parquet(str(images / "images")).where("id < 1000")
    found = map_batches(frame, outputs=["predicted", "logits"]).toArrow().sort_by("id")
    mine, wanted = logits(found), logits(expected)[:1000]
    assert found["predicted"].to_pylist() == expected["predicted"].to_pylist()[:1000]
    if spark.sparkContext.getConf().get("spark.executorEnv.CNN_BENCH_VECTOR_WIDTH"):
        assert not np.array_equal(mine, wanted)
        assert np.abs(mine - wanted).max() <= 1e-5 * np.abs(wanted).max()
    else:
        assert np.array_equal(mine, wanted)
