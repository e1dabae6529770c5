"""What `cnn-bench cluster` refuses before Spark is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli import commands
from bench.cluster import session, standalone
from columnar_nn.errors import UsageError


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
        (("--out", "new", "--on", "flink"), "--on 'flink': choose from spark, sail"),
        (("--out", "new", "--bad", "skip"), "--bad 'skip': choose from null, fail"),
        (("--out", "new", "--model", "plain10"), "unknown model 'plain10'"),
        (("--out", "new", "--model", "no.onnx"), "cannot read model no.onnx"),
    ],
)
def test_wrong_use_costs_no_session(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match=message):
        run("--images", "images", *arguments)


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
