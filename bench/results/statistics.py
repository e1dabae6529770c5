"""Medians with nonparametric confidence intervals, and how much times scatter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95
_EXACT = 5000
"""Of more values the exact integers are long, and the time that they take grows with the square."""

STABLE_SPREAD = 0.10
"""Times that scatter more (see `spread`) are called unstable."""


@dataclass(frozen=True)
class Estimate:
    """Median of a sample, with the interval [low, high] that holds the true one.

    `confidence` is the probability the interval really has: at most what was asked of it when
    the sample is too small for more.
    """

    median: float
    low: float
    high: float
    confidence: float


def estimate_median(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Median and its confidence interval between two order statistics.

    Each value lies below the true median with probability one half, so that the k-th smallest
    and the k-th largest of n enclose it with probability 1 - 2 P(Binomial(n, 1/2) < k),
    whatever the distribution (Conover, Practical Nonparametric Statistics, section 3.2). The
    narrowest such interval of at least `confidence` is returned, or the whole range.
    """
    ordered = sorted(values)
    count = len(ordered)
    if not count:
        raise ValueError("a median needs at least one value")
    if count > _EXACT:
        return _estimate_of_many(ordered, confidence)
    # P(Binomial(count, 1/2) < rank) in exact integers, over 2**count.
    rank, term, outside = 1, count, 1
    while 2 * (rank + 1) <= count and 1 - 2 * (outside + term) / 2**count >= confidence:
        outside += term
        term = term * (count - rank) // (rank + 1)
        rank += 1
    coverage = max(0.0, 1 - 2 * outside / 2**count)
    return Estimate(float(np.median(ordered)), ordered[rank - 1], ordered[count - rank], coverage)


def _estimate_of_many(ordered: Sequence[float], confidence: float) -> Estimate:
    """The same by the normal distribution, with its correction for whole numbers."""
    count, normal = len(ordered), NormalDist()
    deviation = math.sqrt(count) / 2
    rank = math.floor(count / 2 + 0.5 + normal.inv_cdf((1 - confidence) / 2) * deviation)
    coverage = 1 - 2 * normal.cdf((rank - 0.5 - count / 2) / deviation)
    return Estimate(float(np.median(ordered)), ordered[rank - 1], ordered[count - rank], coverage)


def spread(values: Sequence[float]) -> float:
    """Interquartile range over the median: how much times scatter, but for a few outliers."""
    first, median, third = map(float, np.percentile(values, [25, 50, 75]))
    return (third - first) / median
