"""The search for a rate: on engines whose every latency is known, and simulated ones."""

from __future__ import annotations

import random

import pytest

from bench.compare.rate_search import STEPS, RateSearch
from bench.results.traffic import Limit, Traffic, knee
from bench.workers.open_loop import arrivals, serve

ENOUGH = 700


def found_by_search(
    limit: Limit, alone: float, holds_up_to: float
) -> tuple[list[float], float | None]:
    """The rates tried of an engine that is within the limit up to a rate, and the knee of them."""
    search = RateSearch(limit, [alone] * ENOUGH)
    tried = []
    while search.rate is not None:
        slow = search.rate > holds_up_to
        tried.append((search.rate, [alone + (10 * limit.seconds if slow else 0.0)] * ENOUGH))
        search.tell(tried[-1][1])
    return [rate for rate, _ in tried], knee(tried, limit)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.33, 0.5, 0.77, 0.99])
def test_bisection_comes_as_near_as_it_says(share: float) -> None:
    limit, alone = Limit(99, 0.01), 0.002
    tried, best = found_by_search(limit, alone, share / alone)
    assert len(tried) == STEPS
    assert all(0 < rate < 1 / alone for rate in tried)
    resolution = 1 / alone / 2**STEPS
    assert (best or 0.0) <= share / alone
    assert share / alone - (best or 0.0) <= resolution * 1.01


def test_nothing_is_tried_where_queries_alone_are_too_slow() -> None:
    assert RateSearch(Limit(99, 0.01), [0.02] * ENOUGH).rate is None


def test_nothing_is_tried_where_too_few_queries_are_known() -> None:
    assert RateSearch(Limit(99, 0.01), [0.001] * 300).rate is None
    assert RateSearch(Limit(99, 0.01), []).rate is None
    search = RateSearch(Limit(90, 0.01), [0.001] * 300)
    assert search.rate == 500
    search.tell([0.001] * 20)
    assert search.rate is None


def test_the_knee_of_a_simulated_server_is_where_theory_has_it() -> None:
    """M/M/1: p99 is ln(100) / (service rate - rate), so that the limit gives the rate."""
    service_rate, limit, seed, queries = 500.0, Limit(99, 0.03), 11, 30_000

    def latencies(rate: float) -> list[float]:
        shuffler, now = random.Random(3), [0.0]

        def query(_: int) -> None:
            now[0] += shuffler.expovariate(service_rate)

        def wait(moment: float) -> None:
            now[0] = max(now[0], moment)

        return serve(query, arrivals(rate, queries, seed), lambda: now[0], wait)[0]

    alone = random.Random(4)
    search = RateSearch(limit, [alone.expovariate(service_rate) for _ in range(queries)])
    tried = []
    while (rate := search.rate) is not None:
        tried.append((rate, latencies(rate)))
        search.tell(tried[-1][1])
    expected = service_rate - 4.60517 / limit.seconds  # 346
    assert knee(tried, limit) == pytest.approx(expected, rel=0.06)


def test_the_knee_is_below_every_rate_that_failed() -> None:
    fine, late = [0.001] * ENOUGH, [0.1] * ENOUGH
    limit = Limit(99, 0.01)
    assert knee([(300, fine), (100, fine), (200, late)], limit) == 100
    assert knee([(100, late), (200, fine)], limit) is None
    assert knee([(100, fine), (200, fine[:5])], limit) == 100
    assert knee([], limit) is None


def test_a_fluke_does_not_break_a_limit_and_a_percent_of_late_ones_does() -> None:
    limit = Limit(99, 0.01)
    assert limit.holds([0.001] * 699 + [5.0]) is True
    assert limit.holds([0.001] * 690 + [5.0] * 10) is False
    assert limit.holds([0.001] * 661) is None


def test_traffic_comes_back_from_settings_and_nonsense_does_not() -> None:
    for asked in (
        Traffic(),
        Traffic("single-stream", (50.0, 99.0)),
        Traffic("server", (99.9,), (100.0, 250.5)),
        Traffic("server", (99.0,), (), Limit(90.0, 0.01)),
    ):
        assert Traffic.of(asked.settings()) == asked
    whole = Traffic("server", (99.0,), (), Limit(90.0, 0.01)).settings()["traffic"]
    for change in (
        {"scenario": "start"},
        {"scenario": ["server"]},
        {"percentiles": [100]},
        {"percentiles": ["99"]},
        {"rates": 5},
        {"rates": [-1]},
        {"limit": {"percent": 99}},
        {"limit": {"percent": 120, "seconds": 1}},
        {"limit": True},
    ):
        with pytest.raises(ValueError, match="its traffic"):
            Traffic.of({"traffic": {**whole, **change}})
    with pytest.raises(ValueError, match="its traffic"):
        Traffic.of({"traffic": 3})
