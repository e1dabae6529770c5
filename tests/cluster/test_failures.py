"""kill -9 of Python workers and executors: Spark runs their tasks again, the result is exact."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from cluster.conftest import NUM, logits

from bench.cluster import status
from bench.cluster.data import SPLIT_IS_A_FILE
from bench.cluster.equality import collected
from bench.cluster.session import session
from bench.cluster.standalone import executors, standalone
from columnar_nn.integrations import spark as integration
from columnar_nn.integrations.spark import Call, map_batches

WIDTH = "4"
PATIENCE_S = 100.0


@pytest.fixture(scope="module", params=["standalone", "local-cluster[2,1,1024]"])
def cluster(request: Any) -> Iterator[tuple[Any, list[int]]]:
    """A session on two executors, and the processes that they are below."""
    if request.param == "standalone":
        with (
            standalone(workers=2) as running,
            session("spark", running.master, SPLIT_IS_A_FILE) as opened,
        ):
            yield opened.spark, [process.pid for process in running.processes]
    else:
        settings = {**SPLIT_IS_A_FILE, "spark.executorEnv.CNN_BENCH_VECTOR_WIDTH": WIDTH}
        with session("spark", request.param, settings) as opened:
            yield opened.spark, [os.getpid()]


def held(made: Call, marker: Path) -> Any:
    """The rows of a network, of which one task waits to be killed, when it has given some.

    It then writes its process's number to the file `marker`; run again, it goes on.
    """
    task = made.task

    def holding(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import os
        import time

        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        given = task(batches)
        if context.partitionId() == 1 and not marker.exists():
            yield next(given)
            marker.with_suffix(".new").write_text(str(os.getpid()))
            marker.with_suffix(".new").rename(marker)
            time.sleep(PATIENCE_S)
            raise AssertionError("nobody has killed this worker")
        yield from given

    return made.source.mapInArrow(holding, made.schema)


def worker(pid: int, roots: list[int]) -> psutil.Process:
    return psutil.Process(pid)


def executor(pid: int, roots: list[int]) -> psutil.Process:
    """The executor that a Python worker works for."""
    (found,) = set(executors(roots)).intersection(psutil.Process(pid).parents())
    return found


@pytest.mark.parametrize("victim", [worker, executor])
def test_what_is_killed_at_work_is_run_again(
    cluster: tuple[Any, list[int]],
    images: Path,
    expected: pa.Table,
    victim: Callable[[int, list[int]], psutil.Process],
    tmp_path: Path,
) -> None:
    spark, roots = cluster
    before = status.tasks(spark)
    frame = spark.read.parquet(str(images / "images"))
    made = integration.call(frame, "plain9", "image", None, ("predicted",), "uint8", "null")
    marker = tmp_path / "held"
    tables: list[pa.Table] = []
    query = threading.Thread(target=lambda: tables.append(collected(held(made, marker))))
    query.start()
    while not marker.exists():
        query.join(0.05)
        assert query.is_alive()
    victim(int(marker.read_text()), roots).kill()
    query.join()
    (table,) = tables
    assert status.tasks(spark).since(before).failed == 1
    assert table["id"].to_pylist() == list(range(NUM))
    assert table["error"].null_count == NUM
    assert table["predicted"].equals(expected["predicted"])


def test_executors_compute_what_their_processor_can(
    cluster: tuple[Any, list[int]], images: Path, expected: pa.Table
) -> None:
    """Bit for bit on one kind of processor; on another, within docs/cluster.md's tolerance."""
    spark, _ = cluster
    frame = spark.read.parquet(str(images / "images"))
    found = collected(map_batches(frame, outputs=["predicted", "logits"]))
    mine, wanted = logits(found), logits(expected)
    assert found["predicted"].equals(expected["predicted"])
    if spark.sparkContext.getConf().get("spark.executorEnv.CNN_BENCH_VECTOR_WIDTH"):
        assert not np.array_equal(mine, wanted)
        assert np.abs(mine - wanted).max() <= 1e-5 * np.abs(wanted).max()
    else:
        assert np.array_equal(mine, wanted)


def test_nobody_else_can_connect(cluster: tuple[Any, list[int]]) -> None:
    _, roots = cluster
    family = [psutil.Process(), *map(psutil.Process, roots)]
    family += [child for process in family for child in process.children(recursive=True)]
    places = {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert places
    assert places <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
