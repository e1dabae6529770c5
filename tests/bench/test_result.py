"""The exit code of a comparison, by how its backends and cells ended."""

from __future__ import annotations

import dataclasses

import pytest

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


def example(status: str = PASSED) -> Result:
    return Result(
        context={"settings": {"seed": 1}},
        backends=(BackendRecord("fake", "fine", 1, status, notes=("a", "b")),),
        benchmarks=(Benchmark("fake", "fine", 10, 10, 1, status, times=(0.1, 0.2), max_abs=0.5),),
    )


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


def test_worst_status() -> None:
    assert worst([PASSED, NOT_RUN]) == PASSED
    assert worst([NOT_RUN, NOT_RUN]) == NOT_RUN
    assert worst([PASSED, FAILED, CRASHED]) == CRASHED
