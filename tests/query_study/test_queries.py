"""Every engine gives the rows that plain Python gives, whatever the query and the threads."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet
from query_study.conftest import IMAGES
from query_study.plain import PLAIN, rows_of

from adapters.queries import registry
from bench.data.dataset import open_dataset
from bench.machine import cpus
from bench.query_study import data
from bench.query_study.queries import QUERIES, named
from bench.query_study.session import QueryStudySession
from bench.query_study.study import answer
from bench.workers.held import HeldWorker
from bench.workers.options import Options
from columnar_nn.errors import MissingPackageError, UsageError

IN_PROCESS = ("columnar:sql", "duckdb+columnar:function", "duckdb+onnxruntime:default")
IN_WORKERS = ("duckdb+pytorch:eager", "velox:relational")
"""They would change this process: PyTorch its threads, Velox its end."""


def opening(name: str, query: str, tables: Mapping[str, str], threads: int) -> dict[str, Any]:
    backend, _, configuration = name.partition(":")
    own = {table: tables[table] for table in QUERIES[query].tables}
    if not registry.load(backend).runs_networks:
        own["images"] = tables["classes"]
    return {
        "query": dataclasses.asdict(QUERIES[query]),
        "tables": own,
        "samples": IMAGES,
        "configuration": configuration,
        "threads": threads,
        "batch_size": 32,
        "algorithm": "auto",
    }


def check(reply: dict[str, Any], query: str, tables: Mapping[str, str], name: str) -> None:
    assert [tuple(row) for row in reply["rows"]] == rows_of(query, tables)
    parts = {"scan", "relational", "conversion", "network"}
    for phases, seconds in zip(reply["phases"], reply["times"], strict=True):
        assert phases.keys() == {*parts, "rest"}
        assert sum(phases.values()) == pytest.approx(seconds)
        working = parts - {"network"} if name.startswith("velox") else parts
        assert all(phases[part] > 0 for part in working)


def test_the_queries_tell_something(tables: dict[str, str]) -> None:
    """Else rows would be equal whatever a network gives."""
    assert QUERIES.keys() == PLAIN.keys()
    found = {query: rows_of(query, tables) for query in QUERIES}
    assert all(len(rows) >= 5 for rows in found.values())
    assert any(label != predicted for label, predicted, _ in found["confusion"])
    assert len({errors for *_, errors in found["sites"]}) > 1
    assert sum(agreed for _, agreed, _ in found["agreement"]) < IMAGES


@pytest.mark.parametrize("query", QUERIES)
def test_the_right_rows(query: str, tables: dict[str, str]) -> None:
    assert list(answer(QUERIES[query], tables).rows) == rows_of(query, tables)


@pytest.mark.parametrize(
    ("name", "threads"),
    [(IN_PROCESS[0], 1), (IN_PROCESS[1], 1), *((name, 2) for name in IN_PROCESS)],
)
def test_every_engine_gives_them(name: str, threads: int, tables: dict[str, str]) -> None:
    session = QueryStudySession(time.monotonic())
    session.import_framework(name.partition(":")[0])
    for query in QUERIES:
        session.open(**opening(name, query, tables, threads))
        reply = session.run(IMAGES, min_runs=2)
        check(reply, query, tables, name)
        assert len(reply["times"]) == 2
    assert session.describe()["threads"] == threads
    session.close()


@pytest.mark.parametrize("name", IN_WORKERS)
def test_every_engine_in_a_worker_gives_them(
    name: str, tables: dict[str, str], tmp_path: Path
) -> None:
    options = Options(cpus.choose(1), 120.0)
    with HeldWorker(options, tmp_path, "bench.query_study.session:QueryStudySession") as worker:
        worker.ask("import_framework", backend=name.partition(":")[0])
        for query in QUERIES:
            worker.ask("open", **opening(name, query, tables, 1))
            check(worker.ask("run", samples=IMAGES), query, tables, name)
        assert worker.ask("describe")["versions"]


def test_every_engine_is_tested() -> None:
    assert {name.partition(":")[0] for name in (*IN_PROCESS, *IN_WORKERS)} == {*registry.ENGINES}


def test_two_runs_with_different_rows_fail(
    tables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = QueryStudySession(time.monotonic())
    session.import_framework("columnar")
    session.open(**opening("columnar:sql", "confusion", tables, 1))
    engine = session._engines[IMAGES]
    run = engine.run
    tables_given = iter((0, 1))
    monkeypatch.setattr(engine, "run", lambda watch: run(watch).slice(next(tables_given)))
    with pytest.raises(Exception, match="two runs gave different rows"):
        session.run(IMAGES, min_runs=2)


def test_files(tmp_path: Path) -> None:
    dataset = open_dataset("photo10")
    count = dataset.num_rows + 30
    found = data.write(dataset, count, 4, {"plain9": np.arange(dataset.num_rows)}, tmp_path)
    images, metadata, classes = (
        parquet.read_table(found[name]) for name in ("images", "metadata", "classes")
    )
    assert parquet.ParquetFile(found["images"]).metadata.num_row_groups == 4
    pixels = images.column("image").to_pylist()
    assert pixels[-30:] == pixels[:30]
    assert len(set(pixels)) > dataset.num_rows // 2
    assert images.column("label").to_pylist()[-30:] == images.column("label").to_pylist()[:30]
    assert images.column("id").to_pylist() == list(range(count))
    assert classes.column("plain9").to_pylist()[-30:] == list(range(30))
    assert sorted(metadata.column("id").to_pylist()) == list(range(count))
    assert metadata.column("id").to_pylist() != list(range(count))


def test_the_classes_of_these_tests_are_no_noise(classes: Mapping[str, np.ndarray]) -> None:
    labels = next(open_dataset("photo10").batches(IMAGES, IMAGES)).column("label").to_numpy()
    assert all(np.mean(found == labels) > 0.5 for found in classes.values())


def test_names_of_queries_and_engines() -> None:
    with pytest.raises(UsageError, match="--query 'nope': choose from confusion, sites, agreement"):
        named("nope")
    with pytest.raises(UsageError, match="--query has no backend 'nope': choose from columnar"):
        registry.load("nope")


def test_what_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = registry.load("duckdb+columnar")
    monkeypatch.setattr(engine, "packages", {"no_such_package": "duckdb"})
    with pytest.raises(MissingPackageError, match=r"no_such_package.*cnn-bench\[duckdb\]"):
        engine.import_framework()
