"""Percentiles against SciPy's binomial distribution, and against distributions that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from bench.results.percentiles import CONFIDENCE, least_queries, percentile

PERCENTS = [10.0, 50.0, 75.0, 90.0, 95.0, 97.0, 99.0, 99.9]


@pytest.mark.parametrize(("percent", "queries"), [(90, 64), (99, 662), (50, 11)])
def test_counts_of_loadgen(percent: float, queries: int) -> None:
    """Of p90 and p99 as MLPerf says them."""
    assert least_queries(percent) == queries


@pytest.mark.parametrize("percent", PERCENTS)
def test_the_fewest_queries_and_not_one_less(percent: float) -> None:
    count, beyond = least_queries(percent), 1 - percent / 100
    assert binom.cdf(1, count, beyond) <= 1 - CONFIDENCE < binom.cdf(1, count - 1, beyond)
    assert percentile(range(count - 1), percent) is None
    found = percentile(range(count), percent)
    assert found is not None
    assert found.at_most == count - 2  # the largest but one
    assert found.seconds <= found.at_most


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("count", [700, 3000, 20_000])
def test_the_bound_is_the_least_that_is_sure_enough(percent: float, count: int) -> None:
    found = percentile(range(1, count + 1), percent)  # values are their own ranks
    if found is None:
        assert count < least_queries(percent)
        return
    rank, share = int(found.at_most), percent / 100
    assert binom.sf(rank - 1, count, share) <= 1 - CONFIDENCE < binom.sf(rank - 2, count, share)
    assert found.seconds == np.ceil(round(percent * count / 100, 6))


@pytest.mark.parametrize("percent", [50.0, 90.0, 99.0])
def test_the_bound_holds_as_often_as_it_says(percent: float) -> None:
    """Of 3,000 samples of an exponential distribution: 1 % may be wrong, and not much fewer are."""
    random, count = np.random.default_rng(12), least_queries(percent) + 40
    true = -np.log(1 - percent / 100)
    wrong = 0
    for _ in range(3000):
        found = percentile(random.exponential(size=count).tolist(), percent)
        assert found is not None
        wrong += found.at_most < true
    assert binom.cdf(wrong, 3000, 1 - CONFIDENCE) > 1e-6
    assert wrong <= binom.ppf(1 - 1e-6, 3000, 1 - CONFIDENCE)


def test_percentiles_of_known_distributions() -> None:
    random, count = np.random.default_rng(3), 100_000
    for values, quantile in (
        (random.uniform(2, 4, count), lambda share: 2 + 2 * share),
        (random.exponential(5, count), lambda share: -5 * np.log(1 - share)),
        (random.weibull(2, count), lambda share: np.sqrt(-np.log(1 - share))),
    ):
        for percent in (50, 90, 99, 99.9):
            found = percentile(values.tolist(), percent)
            assert found is not None
            assert found.seconds == pytest.approx(quantile(percent / 100), rel=0.03)
            assert found.seconds <= found.at_most <= found.seconds * 1.1
