"""What a number of sessions can show, and how many would settle a question."""

from __future__ import annotations

import math
from bisect import bisect_left
from statistics import NormalDist

from bench.difference.permutation import CONFIDENCE, Reals, can_decide

POWER = 0.8
"""How likely a change is found that is called large enough to be shown."""

MAX_SESSIONS = 1000
"""Of a side; a question that needs more is one for a quieter machine."""


def pooled_deviation(base: Reals, new: Reals) -> float | None:
    """Standard deviation between sessions of one side; None if no side has two."""
    freedom = len(base) + len(new) - 2
    if freedom < 1 or max(len(base), len(new)) < 2:
        return None
    squares = sum(float(((side - side.mean()) ** 2).sum()) for side in (base, new) if len(side))
    return math.sqrt(squares / freedom)


def smallest_shift(deviation: float, num_base: int, num_new: int, columns: int) -> float:
    """The least shift that so many sessions show with probability POWER, among so many columns.

    Infinite if they cannot show any. That of Student's t test at Bonferroni's level: the test by
    deals finds about as much (the tests hold the two together).
    """
    if not can_decide(num_base, num_new):
        return math.inf
    return deviation * _standard_shift(num_base, num_new, columns)


def sessions_to_settle(deviation: float, shift: float, margin: float, columns: int) -> int | None:
    """How many sessions a side would settle a column whose true shift is the one at hand.

    Either they show it, or that it is inside of the margin. None if it takes over MAX_SESSIONS.
    """
    wanted = max(abs(shift), margin - abs(shift))
    sizes = range(1, MAX_SESSIONS + 1)
    place = bisect_left(
        sizes, True, key=lambda size: smallest_shift(deviation, size, size, columns) <= wanted
    )
    return sizes[place] if place < len(sizes) else None


def _standard_shift(num_base: int, num_new: int, columns: int) -> float:
    freedom = num_base + num_new - 2
    critical = _student_quantile(1 - (1 - CONFIDENCE) / (2 * columns), freedom)
    spare = _student_quantile(POWER, freedom)
    return (critical + spare) * math.sqrt(1 / num_base + 1 / num_new)


def _student_quantile(probability: float, freedom: int) -> float:
    """Of Student's t, by its expansion (Abramowitz and Stegun, 26.7.5)."""
    z: float = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))
