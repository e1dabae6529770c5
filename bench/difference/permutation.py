"""Tests and intervals by dealing sessions out anew: no distribution is assumed.

If two sides of sessions were measured on one version, any deal of them into sides of these sizes
was as likely as the one at hand. What the deal at hand shows is held against what all show.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
LEAST_SESSIONS = 3
"""Of a side: from fewer nothing is concluded."""

MAX_DEALS = 20_000
"""If there are more, as many are drawn at random."""

_TIE = 1e-9
"""Two sums of the same numbers in another order may differ by as much."""

Reals = NDArray[np.float64]


def can_decide(num_base: int, num_new: int) -> bool:
    """Whether so many sessions can show a difference, however large: 4 and 4 can, 3 and 3 cannot.

    The most telling deal and its mirror image are 2 of all deals: to be rarer than chance allows,
    there must be 40.
    """
    if min(num_base, num_new) < LEAST_SESSIONS:
        return False
    return 2 / math.comb(num_base + num_new, num_new) <= 1 - CONFIDENCE


def fewest_sessions() -> int:
    """Of each of two equal sides, so that they can."""
    return next(n for n in range(LEAST_SESSIONS, 100) if can_decide(n, n))


def adjusted_p_values(base: Reals, new: Reals) -> Reals:
    """For every column, how likely chance alone shows as much in it, given all columns.

    Both sides are [sessions, columns], NaN where a session has none. Deals are of whole sessions,
    so that what makes a session slow as a whole is no evidence for each of its columns anew. If
    nothing differs, the least p-value is at most P with probability P at most: Holm's procedure
    with the distribution of the largest statistic in place of Bonferroni's bound (Westfall and
    Young, Resampling-Based Multiple Testing, 1993, algorithm 2.8). The statistic is the difference
    of the sides' means over the standard deviation of all, which orders deals as Student's t does.
    """
    values = np.concatenate([base, new])
    centred = np.nan_to_num(values - np.nanmean(values, axis=0))
    scale = np.sqrt((centred**2).sum(axis=0))
    standard = np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 0)
    shown = np.abs(_contrasts(len(base), len(new)) @ standard)
    order = np.argsort(shown[0])
    # Of each column, the largest among itself and those that show less.
    largest = np.maximum.accumulate(shown[:, order], axis=1)
    chance = (largest >= shown[0, order] * (1 - _TIE)).mean(axis=0)
    adjusted: Reals = np.empty_like(chance)
    # One that shows less is never less likely to be chance.
    adjusted[order] = np.maximum.accumulate(chance[::-1])[::-1]
    return adjusted


def shift_interval(base: Reals, new: Reals) -> tuple[float, float]:
    """Confidence interval of how much greater the values of `new` are.

    It holds every shift that, taken from `new`, leaves a deal that is not among the rarest: with
    probability CONFIDENCE or more the true one, whatever the distribution, if both sides have the
    same (Garthwaite, Biometrics 52, 1996, page 1387). Unbounded where `can_decide` says no.
    """
    if not can_decide(len(base), len(new)):
        return -math.inf, math.inf
    values = np.concatenate([base, new])
    contrasts = _contrasts(len(base), len(new))
    moved = 1 - contrasts[:, len(base) :].sum(axis=1)
    kept = moved > _TIE
    # The shift at which a deal shows as much as the one at hand.
    shifts = np.sort((contrasts[0] @ values - contrasts[kept] @ values) / moved[kept])
    rank = math.floor((1 - CONFIDENCE) / 2 * len(contrasts) + _TIE)
    return float(shifts[rank - 1]), float(shifts[-rank])


@lru_cache(maxsize=8)
def _contrasts(num_base: int, num_new: int) -> Reals:
    """[deals, sessions]: times values, the mean of the new side less that of the base side.

    The first is the deal at hand, in which the base side comes first. All deals, or as many as
    MAX_DEALS, the same in every run.
    """
    size = num_base + num_new
    if math.comb(size, num_new) <= MAX_DEALS:
        chosen = np.array(list(combinations(range(size), num_new))[::-1])
        deals = np.zeros((len(chosen), size), bool)
        np.put_along_axis(deals, chosen, True, axis=1)
    else:
        at_hand = np.arange(size) >= num_base
        others = np.broadcast_to(at_hand, (MAX_DEALS - 1, size))
        deals = np.vstack([at_hand, np.random.default_rng(0).permuted(others, axis=1)])
    return deals / num_new - ~deals / num_base
