"""Against plain enumeration in Python, and against what the tests promise, over every deal."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from bench.difference.permutation import (
    CONFIDENCE,
    adjusted_p_values,
    can_decide,
    fewest_sessions,
    shift_interval,
)

ALPHA = 1 - CONFIDENCE
NAN = math.nan


def deals(size: int, num_new: int) -> list[list[bool]]:
    return [[i in chosen for i in range(size)] for chosen in combinations(range(size), num_new)]


def split(values: np.ndarray, is_new: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    return values[~np.array(is_new)], values[is_new]


def mean_difference(values: list[float], is_new: list[bool]) -> float:
    new = [v for v, n in zip(values, is_new, strict=True) if n]
    base = [v for v, n in zip(values, is_new, strict=True) if not n]
    return math.fsum(new) / len(new) - math.fsum(base) / len(base)


def student(values: list[float], is_new: list[bool]) -> float:
    """Student's t, as the text books have it."""
    sides = [[v for v, n in zip(values, is_new, strict=True) if n == which] for which in (1, 0)]
    means = [math.fsum(side) / len(side) for side in sides]
    squares = sum((v - m) ** 2 for side, m in zip(sides, means, strict=True) for v in side)
    pooled = squares / (len(values) - 2)
    return abs(means[0] - means[1]) / math.sqrt(pooled * sum(1 / len(side) for side in sides))


def test_one_column_is_students_t_held_against_every_deal() -> None:
    values = np.random.default_rng(1).normal(size=9)
    is_new = [False] * 4 + [True] * 5
    observed = student(list(values), is_new)
    every = [student(list(values), deal) for deal in deals(9, 5)]
    expected = sum(t >= observed * (1 - 1e-9) for t in every) / len(every)
    assert adjusted_p_values(*split(values[:, None], is_new))[0] == pytest.approx(expected)


def test_columns_are_stepped_down() -> None:
    """Westfall and Young's algorithm 2.8 in Python, on Student's t."""
    random = np.random.default_rng(2)
    values = random.normal(size=(8, 4))
    is_new = [False] * 4 + [True] * 4
    values[4:, 1] += 3
    values[4:, 3] += 1
    columns = [list(values[:, c]) for c in range(4)]
    observed = [student(column, is_new) for column in columns]
    order = sorted(range(4), key=lambda c: -observed[c])
    expected, largest_before = [0.0] * 4, 0.0
    for place, column in enumerate(order):
        rest = order[place:]
        count = sum(
            max(student(columns[c], deal) for c in rest) >= observed[column] * (1 - 1e-9)
            for deal in deals(8, 4)
        )
        largest_before = expected[column] = max(largest_before, count / 70)
    assert adjusted_p_values(*split(values, is_new)) == pytest.approx(expected)
    assert expected[1] < ALPHA < expected[0]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("num_columns", [1, 7])
def test_of_all_deals_of_any_values_few_are_called_different(seed: int, num_columns: int) -> None:
    """The rate of false alarms, exactly, whatever the distribution: two states, outliers, ties."""
    random = np.random.default_rng(seed)
    shape = (8, num_columns)
    values = [
        random.normal(size=shape),
        random.integers(0, 2, shape) + random.normal(size=shape) * 1e-3,
        random.standard_cauchy(shape),
        random.normal(size=(8, 1)) + random.normal(size=shape) * 0.1,
        random.integers(0, 2, shape).astype(float),
        np.where(random.random(shape) < 0.2, NAN, random.normal(size=shape)),
    ][seed]
    every = deals(8, 4)
    alarms = sum((adjusted_p_values(*split(values, deal)) <= ALPHA).any() for deal in every)
    assert alarms / len(every) <= ALPHA
    assert alarms or seed in (4, 5), "the test is not idle"


def test_what_is_not_known_is_no_evidence() -> None:
    values = np.array([[0.0, 1.0], [0.1, NAN], [0.2, 1.0], [0.3, 1.1]] * 2)
    values[4:, 0] += 10
    p_values = adjusted_p_values(values[:4], values[4:])
    assert p_values[0] == pytest.approx(2 / 70)
    assert p_values[1] > 0.5


def test_a_column_without_any_difference() -> None:
    assert adjusted_p_values(np.ones((4, 1)), np.ones((4, 1)))[0] == 1


def test_the_interval_holds_the_shifts_that_are_not_rejected() -> None:
    random = np.random.default_rng(4)
    base, new = random.normal(size=4), random.normal(size=5) + 2
    low, high = shift_interval(base, new)
    is_new = [False] * 4 + [True] * 5

    def rarest(shift: float) -> bool:
        """Whether the deal at hand is among the rarest at either end, once it is shifted back."""
        moved = [*base, *(new - shift)]
        at_hand = mean_difference(moved, is_new)
        every = [mean_difference(moved, deal) for deal in deals(9, 5)]
        share = min(
            sum(d >= at_hand - 1e-12 for d in every), sum(d <= at_hand + 1e-12 for d in every)
        )
        return share / len(every) <= ALPHA / 2

    for inside, outside in ((low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)):
        assert not rarest(inside)
        assert rarest(outside)


@pytest.mark.parametrize("sizes", [(4, 4), (3, 5), (5, 5)])
def test_the_interval_holds_the_true_shift_as_often_as_it_says(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(5)
    trials, held = 600, 0
    for _ in range(trials):
        base, new = random.exponential(size=sizes[0]), random.exponential(size=sizes[1]) + 3
        low, high = shift_interval(base, new)
        held += low <= 3 <= high
    assert held / trials >= CONFIDENCE - 3 * math.sqrt(0.05 * 0.95 / trials)


def test_many_sessions_are_sampled_and_nearly_exact() -> None:
    """Of 12 and 12 there are 2.7 million deals; the normal approximation is close then."""
    random = np.random.default_rng(6)
    base, new = random.normal(size=12), random.normal(size=12) + 0.9
    observed = student([*base, *new], [False] * 12 + [True] * 12)
    freedom = 22
    density = [(1 + t * t / freedom) ** (-(freedom + 1) / 2) for t in np.arange(0, 60, 1e-3)]
    beyond = sum(density[round(observed * 1e3) :]) / sum(density)
    p_value = adjusted_p_values(base[:, None], new[:, None])[0]
    assert p_value == pytest.approx(beyond, rel=0.2)
    low, high = shift_interval(base, new)
    assert low < new.mean() - base.mean() < high


def test_which_numbers_of_sessions_can_decide() -> None:
    assert [(m, n) for m in range(1, 6) for n in range(m, 9) if can_decide(m, n)] == [
        *((3, n) for n in (5, 6, 7, 8)),
        *((4, n) for n in (4, 5, 6, 7, 8)),
        *((5, n) for n in (5, 6, 7, 8)),
    ]
    assert fewest_sessions() == 4
    assert shift_interval(np.arange(3.0), np.arange(3.0) + 100) == (-math.inf, math.inf)
