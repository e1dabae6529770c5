"""The fixed loop before and after a session, and what is said if it took another time."""

from __future__ import annotations

import itertools
import time

import pytest

from bench.machine import calibration
from bench.report import tables
from bench.results.results import Results
from bench.results.session import Session
from bench.results.summary import doubts


def session(before: float, after: float, monkeypatch: pytest.MonkeyPatch) -> Results:
    """One whose loops took so long."""
    taken = iter((before, after))
    monkeypatch.setattr(calibration, "seconds", lambda: next(taken))
    return Session("compare", {}, (0,)).results((), complete=True)


def test_the_loop_is_timed_before_and_after() -> None:
    (row,) = Session("compare", {}, (0,)).results((), complete=True)["session"]
    for name in ("calibration_before_s", "calibration_after_s"):
        assert 1e-5 < row[name] < 10  # some 3 million cycles


def test_the_fastest_turn_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [5.0, 3.0, 4.0, *[9.0] * calibration.TURNS]
    ticks = itertools.accumulate(
        part for length in lengths for part in (0.5, length)
    )  # between turns, and in them
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    assert calibration.turns(3) == [5.0, 3.0, 4.0]
    assert calibration.seconds() == 9.0


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [(1e-3, 1.05e-3, False), (1e-3, 1.2e-3, True), (1.2e-3, 1e-3, True), (1.05e-3, 1e-3, False)],
)
def test_another_speed_is_said(
    before: float, after: float, changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = session(before, after, monkeypatch)
    said = doubts(results["session"][0])
    assert bool(said) is changed
    assert said == tables.warnings(results)
    if changed:
        assert f"{before * 1e3:.2f} ms when" in said[0]
        assert f"{after * 1e3:.2f} ms at its end" in said[0]
