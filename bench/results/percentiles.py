"""Percentiles of latencies, refused where there are too few of them to carry one.

As MLPerf's LoadGen stops early by a binomial bound: of n independent queries the number that take
longer than the true percentile p is binomial, of probability 1 - p each. So the k-th smallest
latency is above that percentile with probability 1 - P(Binomial(n, p) >= k). A percentile is
carried if this holds with CONFIDENCE of the largest latency but one: one that a fluke alone can
decide is none.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.99


@dataclass(frozen=True)
class Percentile:
    """A percentile `percent` of latencies, in seconds, and what it is at most with CONFIDENCE."""

    percent: float
    seconds: float
    at_most: float


def percentile(latencies: Sequence[float], percent: float) -> Percentile | None:
    """The percentile by nearest rank, and its bound; None of fewer than `least_queries`."""
    count = len(latencies)
    rank = _bounding_rank(count, percent)
    if rank is None:
        return None
    ordered = sorted(latencies)
    nearest = max(1, math.ceil(percent / 100 * count - 1e-9))
    return Percentile(percent, ordered[nearest - 1], ordered[rank - 1])


@functools.cache
def least_queries(percent: float) -> int:
    """The fewest queries that carry a percentile above 0 and below 100: 64 for 90, 662 for 99."""
    high = 2
    while _bounding_rank(high, percent) is None:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if _bounding_rank(middle, percent) is None:
            low = middle
        else:
            high = middle
    return high


@functools.lru_cache(maxsize=4096)
def _bounding_rank(count: int, percent: float) -> int | None:
    """The least k below `count` for which the k-th smallest is above the percentile; or None."""
    if count < 2:
        return None
    above = 1 - percent / 100
    beyond = np.arange(1, count + 1)
    steps = np.log((count - beyond + 1) / beyond) + math.log(above) - math.log1p(-above)
    logs = count * math.log1p(-above) + np.concatenate([[0.0], np.cumsum(steps)])
    # at_most[j]: probability that at most j of the queries take longer than the percentile
    at_most = np.cumsum(np.exp(logs))
    allowed = int(np.searchsorted(at_most, 1 - CONFIDENCE, side="right")) - 1
    return count - allowed if allowed >= 1 else None
