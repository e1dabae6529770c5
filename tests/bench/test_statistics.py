"""Medians and intervals against brute force; the timing loop against a clock that is not real."""

from __future__ import annotations

import gc
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Stopwatch
from bench.results import statistics
from bench.results.statistics import estimate_median, spread
from bench.workers.session import take_turn


def coverage_by_enumeration(count: int, rank: int) -> float:
    """Share of all patterns of below/above the median in which the order statistics enclose it."""
    enclosing = sum(
        rank <= sum(below) <= count - rank for below in itertools.product((0, 1), repeat=count)
    )
    return enclosing / 2**count


@pytest.mark.parametrize("count", range(2, 13))
def test_confidence_is_what_enumeration_says(count: int) -> None:
    values = [float(i) for i in range(1, count + 1)]
    estimate = estimate_median(values)
    rank = int(estimate.low)
    assert estimate.high == count + 1 - rank
    assert math.isclose(estimate.confidence, coverage_by_enumeration(count, rank))
    if rank + 1 <= count - rank:
        assert coverage_by_enumeration(count, rank + 1) < 0.95, "a narrower interval would do"


def test_few_values_give_their_range_and_its_true_confidence() -> None:
    estimate = estimate_median([3.0, 1.0, 2.0])
    assert (estimate.median, estimate.low, estimate.high) == (2.0, 1.0, 3.0)
    assert estimate.confidence == 0.75


def test_interval_covers_the_true_median_as_often_as_promised() -> None:
    random = np.random.default_rng(5)
    hits = 0
    for _ in range(2000):
        estimate = estimate_median(random.exponential(size=15).tolist())
        hits += estimate.low <= math.log(2) <= estimate.high
    assert 0.95 <= hits / 2000 <= 0.99  # the exact coverage of 15 values is 0.965


def test_thousands_of_values_do_not_overflow() -> None:
    assert 0.95 <= estimate_median([float(i) for i in range(5000)]).confidence < 0.96


def test_of_many_values_the_interval_is_that_of_exact_integers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for count in (201, 1000, 5000):
        values = [float(i) for i in range(count)]
        exact = estimate_median(values)
        with monkeypatch.context() as patched:
            patched.setattr(statistics, "_EXACT", 200)
            approximate = estimate_median(values)
        assert (approximate.low, approximate.high) == (exact.low, exact.high)
        assert approximate.confidence == pytest.approx(exact.confidence, abs=1e-3)
    assert estimate_median([float(i) for i in range(10**6)]).confidence >= 0.95


def test_no_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        estimate_median([])


@given(st.lists(st.floats(0.001, 1000), min_size=3, max_size=40))
def test_median_lies_in_its_interval(values: list[float]) -> None:
    estimate = estimate_median(values)
    assert estimate.low <= estimate.median <= estimate.high


def test_spread_ignores_one_outlier_and_sees_a_broad_middle() -> None:
    assert spread([1.0] * 9 + [100.0]) == 0.0
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)


class FakeClock:
    """Advances only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "min_runs", "min_seconds", "expected"),
    [(1.0, 3, 0.0, 3), (1.0, 1, 4.5, 5), (0.25, 2, 1.0, 4), (10.0, 1, 1.0, 1)],
)
def test_turn_lasts_for_its_runs_and_its_time(
    seconds: float, min_runs: int, min_seconds: float, expected: int
) -> None:
    clock = FakeClock()

    def infer(stopwatch: Stopwatch) -> None:
        clock.now += seconds
        stopwatch.seconds["compute"] += seconds / 2

    turn = take_turn(infer, min_runs, min_seconds, prime=False, clock=clock)
    assert turn.times == [seconds] * expected
    assert [phases["compute"] for phases in turn.phases] == [seconds / 2] * expected


def test_priming_run_is_not_among_the_times() -> None:
    clock = FakeClock()
    durations = iter([50.0, 1.0, 2.0])

    def infer(_: Stopwatch) -> None:
        clock.now += next(durations)

    assert take_turn(infer, 2, 0.0, prime=True, clock=clock).times == [1.0, 2.0]


def test_garbage_is_collected_before_and_never_during_a_run() -> None:
    seen = []

    def infer(_: Stopwatch) -> None:
        seen.append(gc.isenabled())
        if len(seen) == 2:
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        take_turn(infer, 5, 0.0, prime=False)
    assert seen == [False, False]
    assert gc.isenabled()
