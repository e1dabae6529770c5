"""What a machine can show, from runs whose noise a test made."""

from __future__ import annotations

import numpy as np
import pytest

from bench.doctor.resolution import MIN_COMPARISONS, RUNS, resolution


def noisy(number: int, deviation: float, drift: float = 0.0) -> list[tuple[float, float]]:
    """Pairs of times of about 10 ms, with normal logarithms; RUNS pairs have a part in common."""
    random = np.random.default_rng(7)
    own = random.normal(0, deviation, (number, 2))
    common = np.repeat(random.normal(0, drift, -(-number // RUNS)), RUNS)[:number]
    return [(float(a), float(b)) for a, b in 0.01 * np.exp(own + common[:, None])]


def test_a_machine_without_noise_shows_everything() -> None:
    found = resolution([(0.01, 0.01)] * 100)
    assert found is not None
    assert (found.change, found.sessions, found.ratio) == pytest.approx((0, 0, 1))


@pytest.mark.parametrize("deviation", [0.01, 0.05])
def test_noise_of_each_run(deviation: float) -> None:
    """The median of five normal ones deviates by 0.536 of one; 95% of differences are below."""
    found = resolution(noisy(2000, deviation))
    assert found is not None
    expected = np.expm1(1.96 * np.sqrt(2) * 0.536 * deviation)
    assert found.apart == pytest.approx(expected, rel=0.05)
    assert found.interleaved == pytest.approx(expected, rel=0.15)
    assert found.ratio == pytest.approx(1, abs=deviation / 5)


def test_what_changes_slowly_is_the_same_for_engines_that_take_turns() -> None:
    found = resolution(noisy(2000, deviation=0.01, drift=0.1))
    assert found is not None
    assert found.interleaved < 0.03
    assert found.apart == pytest.approx(np.expm1(1.96 * np.sqrt(2) * 0.1), rel=0.1)
    assert found.change == found.apart


def test_four_sessions_a_side_show_what_students_test_would() -> None:
    """Deviations 0.1 of a session: (2.447 + 0.906) x sqrt(1/4 + 1/4) of them, by tables of t."""
    found = resolution(noisy(2000, deviation=1e-6, drift=0.1))
    assert found is not None
    assert found.sessions == pytest.approx(np.expm1(0.1 * 3.353 * np.sqrt(0.5)), rel=0.06)


def test_a_few_runs_say_nothing() -> None:
    assert resolution(noisy(RUNS * MIN_COMPARISONS - 1, 0.01)) is None
    assert resolution([]) is None
