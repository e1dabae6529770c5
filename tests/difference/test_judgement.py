"""Verdicts on figures whose answer is known, and how often a real change is found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.difference import planning
from bench.difference.judgement import Judgement, Verdict, judge
from bench.difference.permutation import CONFIDENCE

STEADY = np.array([1.00, 1.01, 0.99, 1.005, 0.995])


def one(base: np.ndarray, new: np.ndarray, margin: float = 0.05) -> Judgement:
    (judgement,) = judge(base[:, None], new[:, None], margin)
    return judgement


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.2, Verdict.SLOWER),
        (1 / 1.2, Verdict.FASTER),
        (1.0, Verdict.SAME),
        (1.03, Verdict.SAME),
        (1.05, Verdict.SLOWER),
    ],
)
def test_steady_sessions(factor: float, verdict: Verdict) -> None:
    judgement = one(STEADY, STEADY[::-1] * factor)
    assert judgement.verdict is verdict
    assert judgement.change == pytest.approx(factor - 1)
    assert judgement.low < factor - 1 < judgement.high


def test_a_wide_interval_is_inconclusive() -> None:
    noisy = np.array([1.0, 1.4, 0.8, 1.2, 0.9])
    judgement = one(noisy, noisy[::-1] * 1.1)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.smallest is not None
    assert judgement.smallest > 0.3
    assert judgement.settle is not None
    assert judgement.settle > 20


def test_three_sessions_a_side_conclude_nothing() -> None:
    judgement = one(STEADY[:3], STEADY[:3] * 5)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.high == math.inf
    assert judgement.smallest is None
    assert judgement.settle == 4


def test_one_session_a_side_says_nothing_of_how_many_it_takes() -> None:
    judgement = one(STEADY[:1], STEADY[:1] * 5)
    assert judgement.change == pytest.approx(4)
    assert (judgement.smallest, judgement.settle) == (None, None)


def test_the_unit_does_not_matter() -> None:
    random = np.random.default_rng(3)
    base, new = np.exp(random.normal(size=(5, 3))), np.exp(random.normal(size=(5, 3)))
    assert [j.p_value for j in judge(base, new, 0.05)] == pytest.approx(
        [j.p_value for j in judge(base * 1e3, new * 1e3, 0.05)]
    )


def test_the_more_columns_the_more_it_takes() -> None:
    """A change that is clear alone is not among many columns of noise."""
    random = np.random.default_rng(7)
    base, new = np.exp(random.normal(size=(4, 40))), np.exp(random.normal(size=(4, 40)))
    base[:, 0], new[:, 0] = [1.0, 1.1, 1.2, 1.3], [1.4, 1.5, 1.6, 1.7]
    assert one(base[:, 0], new[:, 0]).verdict is Verdict.SLOWER
    assert judge(base, new, 0.05)[0].verdict is Verdict.INCONCLUSIVE


def found(sessions: int, columns: int, deviation: float, shift: float, trials: int) -> float:
    """Share of trials in which the one column that is slower is called so."""
    random = np.random.default_rng(8)
    count = 0
    for _ in range(trials):
        logs = random.normal(size=(2, sessions, columns)) * deviation
        logs[1, :, 0] += shift
        count += judge(*np.exp(logs), 0.0)[0].verdict is Verdict.SLOWER
    return count / trials


@pytest.mark.parametrize(("sessions", "columns"), [(5, 1), (5, 9), (7, 9)])
def test_the_smallest_change_is_found_about_as_often_as_said(sessions: int, columns: int) -> None:
    shift = planning.smallest_shift(0.05, sessions, sessions, columns)
    assert planning.POWER - 0.15 <= found(sessions, columns, 0.05, shift, 150) <= 0.97


def test_twice_the_smallest_change_is_found_nearly_always() -> None:
    shift = 2 * planning.smallest_shift(0.05, 5, 5, 9)
    assert found(5, 9, 0.05, shift, 100) > 0.97


def test_so_many_sessions_as_it_says_would_settle_it() -> None:
    sessions = planning.sessions_to_settle(0.05, math.log(1.1), math.log(1.05), 1)
    assert sessions is not None
    assert planning.smallest_shift(0.05, sessions, sessions, 1) <= math.log(1.1)
    assert planning.smallest_shift(0.05, sessions - 1, sessions - 1, 1) > math.log(1.1)


@pytest.mark.parametrize("freedom", [6, 8, 18])
def test_students_quantiles(freedom: int) -> None:
    """Smallest shifts hold two of them, of t at the level and at the power."""
    steps = np.arange(-60, 60, 1e-3)
    density = (1 + steps**2 / freedom) ** (-(freedom + 1) / 2)
    below = np.cumsum(density) / density.sum()
    quantiles = np.interp([1 - (1 - CONFIDENCE) / 2, planning.POWER], below, steps)
    size = freedom // 2 + 1
    expected = quantiles.sum() * math.sqrt(2 / size)
    assert planning.smallest_shift(1.0, size, size, 1) == pytest.approx(expected, rel=0.01)


def test_false_alarms_of_sides_that_differ_in_nothing() -> None:
    """Whole sessions that are slow, and bursts, as shared machines have them."""
    random = np.random.default_rng(9)
    trials, alarms = 300, 0
    for _ in range(trials):
        bursts = (random.random((10, 1)) < 0.3) * random.exponential(1, (10, 9))
        figures = np.exp(random.normal(size=(10, 9)) * 0.02 + bursts)
        verdicts = {j.verdict for j in judge(figures[:5], figures[5:], 0.05)}
        alarms += bool(verdicts & {Verdict.FASTER, Verdict.SLOWER})
    assert alarms / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
