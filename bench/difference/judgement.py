"""The verdict on each column of figures, one figure a session, that two sides have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from bench.difference import planning
from bench.difference.permutation import (
    CONFIDENCE,
    Reals,
    adjusted_p_values,
    can_decide,
    shift_interval,
)


class Verdict(Enum):
    """On a cell of the new side. SAME: the interval is inside of the margin."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    INCONCLUSIVE = "inconclusive"
    MISSING = "missing"
    FAILED = "failed"
    NOT_COMPARABLE = "not comparable"


MEASURED = (Verdict.FASTER, Verdict.SLOWER, Verdict.SAME, Verdict.INCONCLUSIVE)
"""The verdicts that figures decide."""


@dataclass(frozen=True)
class Judgement:
    """What the sessions of two sides say of one column.

    `change` is the new side's geometric mean over the base's, less 1; [low, high] its confidence
    interval, infinite where there are too few sessions for one; `p_value` is adjusted for all
    columns. `smallest` is the least change that these sessions could show, `settle` how many
    sessions a side would settle the column; either is None where it is not known.
    """

    verdict: Verdict
    change: float | None = None
    low: float = -1.0
    high: float = math.inf
    p_value: float = 1.0
    smallest: float | None = None
    settle: int | None = None


def judge(base: Reals, new: Reals, margin: float) -> list[Judgement]:
    """Judges [sessions, columns] of positive figures, NaN where a session has none.

    A change is called faster or slower if its adjusted p-value says so and its interval excludes
    0, unless the interval is inside of [1 / (1 + margin), 1 + margin]: then it is the same. With
    no difference anywhere, anything at all is called faster or slower with probability
    1 - CONFIDENCE at most.
    """
    base, new = np.log(base), np.log(new)
    columns = base.shape[1]
    known = [(_known(base[:, column]), _known(new[:, column])) for column in range(columns)]
    decidable = [can_decide(len(one), len(other)) for one, other in known]
    p_values = np.ones(columns)
    if any(decidable):
        p_values[decidable] = adjusted_p_values(base[:, decidable], new[:, decidable])
    return [
        _judged(one, other, float(p_value), math.log1p(margin), columns)
        for (one, other), p_value in zip(known, p_values, strict=True)
    ]


def _known(column: Reals) -> Reals:
    return column[~np.isnan(column)]


def _judged(base: Reals, new: Reals, p_value: float, margin: float, columns: int) -> Judgement:
    """One column of logarithms."""
    if not len(base) or not len(new):
        return Judgement(Verdict.INCONCLUSIVE)
    shift = float(new.mean() - base.mean())
    low, high = shift_interval(base, new)
    deviation = planning.pooled_deviation(base, new)
    smallest = settle = None
    if deviation is not None:
        least = planning.smallest_shift(deviation, len(base), len(new), columns)
        smallest = math.expm1(least) if math.isfinite(least) else None
        settle = planning.sessions_to_settle(deviation, shift, margin, columns)
    return Judgement(
        _verdict(low, high, p_value, margin),
        math.expm1(shift),
        math.expm1(low),
        math.expm1(high),
        p_value,
        smallest,
        settle,
    )


def _verdict(low: float, high: float, p_value: float, margin: float) -> Verdict:
    if -margin <= low and high <= margin:
        return Verdict.SAME
    if p_value <= 1 - CONFIDENCE and low > 0:
        return Verdict.SLOWER
    if p_value <= 1 - CONFIDENCE and high < 0:
        return Verdict.FASTER
    return Verdict.INCONCLUSIVE
