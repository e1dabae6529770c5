"""The JSON file: what it holds, what it refuses, and that it is written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from bench.files.output import OutputFile
from bench.results import result
from bench.results.result import BackendRecord, Benchmark, Result
from bench.verdict.status import (
    CRASHED,
    FAILED,
    MISTRUSTED,
    NOT_RUN,
    PASSED,
    SKIPPED,
    TIMEOUT,
    UNIMPLEMENTED,
    worst,
)
from columnar_nn.errors import InvalidDataError


def example(status: str = PASSED) -> Result:
    return Result(
        context={"machine": {"cpu": "x"}, "settings": {"seed": 1}, "versions": {}},
        backends=(BackendRecord("fake", "fine", 1, status, notes=("a", "b")),),
        benchmarks=(Benchmark("fake", "fine", 10, 10, 1, status, times=(0.1, 0.2), max_abs=0.5),),
    )


def write(outcome: Result, path: Path) -> None:
    OutputFile(str(path)).write(result.to_json(outcome.document()))


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(example(), path)
    assert result.load(path) == example()


def test_schema(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(example(), path)
    document = json.loads(path.read_text())
    assert next(iter(document)) == "schema_version"
    assert document["schema_version"] == result.SCHEMA_VERSION
    assert {"context", "benchmarks", "backends", "complete"} <= set(document)
    (benchmark,) = document["benchmarks"]
    promised = (
        "backend configuration samples batch_size threads status times median_s "
        "images_per_second max_abs max_rel top1_agreement"
    )
    assert set(promised.split()) <= set(benchmark)
    assert benchmark["times"] == [0.1, 0.2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_null(tmp_path: Path, value: float) -> None:
    (cell,) = example().benchmarks
    odd = dataclasses.replace(example(), benchmarks=(dataclasses.replace(cell, sqnr_db=value),))
    path = tmp_path / "result.json"
    write(odd, path)
    assert json.loads(path.read_text())["benchmarks"][0]["sqnr_db"] is None
    assert "NaN" not in path.read_text()


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(example(), path)
    before = path.read_bytes()
    unwritable = dataclasses.replace(example(), context={"object": object()})
    with pytest.raises(TypeError):
        write(unwritable, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not a result"),
        ("[]", "is not a result"),
        ("[" * 100_000 + "]" * 100_000, "is not a result"),
        ('{"context": {}}', "is not a result"),
        ('{"schema_version": 99}', "schema version 99, this cnn-bench reads 1"),
        ('{"schema_version": 1, "context": {}}', "does not follow its schema"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(InvalidDataError, match=message):
        result.load(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="No such file"):
        result.load(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (PASSED, 0),
        (SKIPPED, 0),
        (UNIMPLEMENTED, 0),
        (NOT_RUN, 0),
        (FAILED, 1),
        (MISTRUSTED, 0),
        (CRASHED, 1),
        (TIMEOUT, 1),
    ],
)
def test_exit_code(status: str, code: int) -> None:
    assert example(status).exit_code() == code


def test_no_reference_is_no_success() -> None:
    parity = {"rows": 0, "failure": "CRASHED"}
    assert dataclasses.replace(example(MISTRUSTED), context={"parity": parity}).exit_code() == 1


def test_a_result_of_before_the_later_fields_is_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(example(), path)
    document = json.loads(path.read_text())
    for later in ("noise_ratio", "telling_rows"):
        del document["benchmarks"][0][later]
    del document["backends"][0]["checked"]
    path.write_text(json.dumps(document))
    assert result.load(path) == example()


def test_worst_status() -> None:
    assert worst([PASSED, NOT_RUN]) == PASSED
    assert worst([NOT_RUN, NOT_RUN]) == NOT_RUN
    assert worst([PASSED, FAILED, CRASHED]) == CRASHED
