"""tests/fuzz/outcome.py: what a reader does wrong is seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fuzz import outcome
from fuzz.outcome import MEBIBYTE, problem

from columnar_nn.errors import CnnBenchError, InvalidDataError


class _LongError(CnnBenchError):
    def __str__(self) -> str:
        return "x" * 500


def _raise(error: Exception) -> Callable[[], object]:
    def read() -> None:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: 1, ""),
        (_raise(InvalidDataError("no such file")), ""),
        (_raise(_LongError()), "no line of text"),
        (_raise(InvalidDataError("")), "no line of text"),
        (_raise(KeyError("x")), "KeyError: 'x' (test_outcome.py:"),
        (lambda: bytearray(4096 * MEBIBYTE), "MemoryError"),
        (lambda: bytearray(1 * MEBIBYTE), ""),
    ],
)
def test_what_is_wrong_is_said(read: Callable[[], object], said: str) -> None:
    found = problem(read, 100 * MEBIBYTE)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_what_takes_long_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "CPU_SECONDS", 0.01)
    assert problem(lambda: sum(range(3_000_000)), MEBIBYTE).startswith("takes ")
