"""What `cnn-bench cluster` refuses before Spark is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bench.cli import commands
from bench.cluster import equality, failure, session, standalone
from columnar_nn.errors import CnnBenchError, UsageError


def run(*arguments: object) -> None:
    commands.run(["cluster", "run", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr(session, "_started", refuse)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "there"), "there exists already: name another folder, or give --overwrite"),
        (("--out", "there", "--overwrite"), "not what a run has written: it is not overwritten"),
        (("--out", "no/out"), "is no folder: make it first"),
        (("--out", "new", "--conf", "memory=1g"), "--conf 'memory': write spark.name=value"),
        (("--out", "new", "--master", "cloud"), "--master 'cloud': use local"),
        (("--out", "new", "--master", "local[0]"), "--master 'local.0.': use local"),
        (("--out", "new", "--master", "spark://127.0.0.1:1"), "cannot connect .*is a master run"),
        (("--out", "new", "--on", "sail", "--master", "local[2]"), "are for --on spark: Sail"),
        (("--out", "new", "--on", "sail", "--conf", "spark.a=1"), "are for --on spark: Sail"),
        (("--out", "/proc/new"), "cannot write to /proc|is no folder"),
        (("--out", "new", "--json", "no/file.json"), "--json no/file.json: there is no folder"),
        (("--out", "new", "--on", "flink"), "--on 'flink': choose from spark, sail"),
        (("--out", "new", "--bad", "skip"), "--bad 'skip': choose from null, fail"),
        (("--out", "new", "--model", "plain10"), "unknown model 'plain10'"),
        (("--out", "new", "--model", "no.onnx"), "cannot read model no.onnx"),
        (("--out", "new", "--images", "nowhere"), "--images nowhere: there is no such file"),
        (("--out", "new", "--labels", "no.parquet"), "--labels no.parquet: there is no such"),
    ],
)
def test_wrong_use_costs_no_session(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "images").mkdir()
    with pytest.raises(UsageError, match=message):
        run(*() if "--images" in arguments else ("--images", "images"), *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--splits", "4"), "--splits '4': give two numbers at least, up to --images 10000"),
        (("--splits", "2,20000"), "--splits '2,20000': give two numbers at least"),
        (("--splits", "a"), "--splits 'a': expected positive whole numbers"),
        (("--master", "spark://127.0.0.1:1"), "CPU time is measured on this machine"),
    ],
)
def test_comparisons_that_say_nothing_are_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        commands.run(["cluster", "compare", *arguments])


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times: "
            "org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
            '  File "worker.py", line 1, in main\n    load()\n'
            "ModuleNotFoundError: No module named 'columnar_nn'\n\n"
            "\tat org.apache.spark.api.python.BasePythonRunner.run(PythonRunner.scala:1)\n"
            "Caused by: java.io.EOFException\n\t... 1 more",
            "ModuleNotFoundError: No module named 'columnar_nn'",
        ),
        (
            "An error occurred while calling o93.parquet.\n: org.apache.spark.SparkException: "
            "[TASK_WRITE_FAILED] Task failed while writing rows. SQLSTATE: 58030\n"
            "\tat org.apache.spark.A.b(A.scala:1)\n"
            "Caused by: org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] Encountered "
            "error while reading file a.parquet.  SQLSTATE: KD001\n\tat org.C.d(C.scala:2)\n"
            "Caused by: java.lang.RuntimeException: end of file\n\t... 1 more",
            "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file a.parquet.",
        ),
        (
            "An error occurred while calling o1.x.\n: java.io.IOException: a\n"
            "Caused by: java.io.IOException: error=2, No such file or directory\n\t... 1 more",
            "IOException: error=2, No such file or directory",
        ),
        (
            "An error occurred while calling o1.x.\n: java.lang.IllegalStateException: stopped\n",
            "IllegalStateException: stopped",
        ),
        ("nothing more\nthan this", "nothing more"),
        ("", "ValueError"),
    ],
)
def test_what_spark_says_is_one_line(said: str, line: str) -> None:
    assert failure.cause(ValueError(said)) == line
    assert not failure.is_of_spark(ValueError(said))


def test_a_spark_error_is_told_from_others() -> None:
    sparks = type("Sparks", (RuntimeError,), {"__module__": "pyspark.errors.exceptions.base"})
    with pytest.raises(CnnBenchError, match=r"^Spark: too bad$"), session._one_line("Spark"):
        raise type("Below", (sparks,), {})("too bad\nand more")
    with pytest.raises(KeyError), session._one_line("Spark"):
        raise KeyError


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({}, 0),
        ({"id": [0, 1]}, 1),
        ({"id": [0, 1, 3]}, 2),
        ({"predicted": [5, 5, 6]}, 1),
        ({"logits": [[0.0, 1.0], [2.0, float("nan")], [-0.0, 1.0]]}, 1),
        ({"error": ["the image is null", None, None]}, 1),
    ],
)
def test_rows_differ_by_any_bit(change: dict[str, list[Any]], rows: int) -> None:
    given = {
        "id": [0, 1, 2],
        "predicted": [5, 6, 6],
        "logits": [[0.0, 1.0], [2.0, float("nan")], [0.0, 1.0]],
        "error": [None, None, None],
    }
    tables = []
    for columns in (given, {**given, **change}):
        count = len(columns["id"])
        made = {name: pa.array(values[:count]) for name, values in columns.items()}
        made["logits"] = made["logits"].cast(pa.list_(pa.float32()))
        made["error"] = made["error"].cast(pa.string())
        tables.append(pa.table(made))
    assert equality.differing(tables[1], tables[0], ["predicted", "logits"]) == rows


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("nothing", 0),
    ],
)
def test_java_is_asked_for_its_version(
    banner: str, version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho '{banner}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert session.java_version() == version
    if version < session.JAVA:
        with pytest.raises(UsageError, match="Spark needs Java 17 or later"):
            session.refuse_without_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    assert session.java_version() == 0


def test_a_python_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", session.LOOPBACK)
    monkeypatch.setenv("PYSPARK_PYTHON", str(tmp_path / "python"))
    with pytest.raises(UsageError, match=r"PYSPARK_PYTHON=.*: there is no such program"):
        session._settings("local[2]", tmp_path)
    assert "spark.driver.bindAddress" not in session._settings("yarn", tmp_path)


def test_a_process_that_does_not_come_up_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    log = tmp_path / "master.log"
    log.write_text("starting\nError: no such class\n")
    with subprocess.Popen(["true"]) as process:
        process.wait()
        with pytest.raises(UsageError, match="Spark's master does not come up: Error: no such"):
            standalone._said("Starting Spark master at (.*)", log, process)
