"""Queries in an open loop against queueing theory, on a simulated clock: fixed seeds throughout."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from bench.results.percentiles import percentile
from bench.workers.open_loop import arrivals, serve, wait_until

SERVICE_S = 0.004


class SimulatedClock:
    """A time that only waiting and serving move."""

    def __init__(self) -> None:
        self.now = 7.0

    def read(self) -> float:
        return self.now

    def wait(self, moment: float) -> None:
        self.now = max(self.now, moment)


def simulate(
    rate: float, queries: int, seed: int, service: Callable[[int], float]
) -> tuple[np.ndarray, np.ndarray]:
    """Latencies and waits of a server that takes `service` seconds for a query."""
    clock = SimulatedClock()

    def query(number: int) -> None:
        clock.now += service(number)

    latencies, waits = serve(query, arrivals(rate, queries, seed), clock.read, clock.wait)
    return np.array(latencies), np.array(waits)


def mean_and_error(values: np.ndarray, batches: int = 40) -> tuple[float, float]:
    """Mean with its standard error by means of long batches, as neighbours wait together."""
    means = values[: len(values) // batches * batches].reshape(batches, -1).mean(axis=1)
    return float(values.mean()), float(means.std(ddof=1) / math.sqrt(batches))


@pytest.mark.parametrize("utilisation", [0.2, 0.5, 0.8, 0.9])
def test_mean_wait_at_a_constant_time_of_service(utilisation: float) -> None:
    """M/D/1: the wait is D u / (2 (1 - u)) in the mean (Pollaczek and Khinchine)."""
    rate = utilisation / SERVICE_S
    latencies, waits = simulate(rate, 200_000, 5, lambda _: SERVICE_S)
    expected = SERVICE_S * utilisation / (2 * (1 - utilisation))
    mean, error = mean_and_error(waits)
    assert error < 0.05 * expected
    assert abs(mean - expected) < 4 * error
    np.testing.assert_allclose(latencies, waits + SERVICE_S, atol=1e-9)
    # who finds the server free does not wait: 1 - u of all (arrivals see time averages)
    free, free_error = mean_and_error((waits < 1e-9).astype(float))
    assert abs(free - (1 - utilisation)) < 4 * free_error


def test_percentiles_at_an_exponential_time_of_service() -> None:
    """M/M/1: the latency is exponential, of the rate of service less that of arrivals."""
    rate, service_rate = 150.0, 250.0
    shuffler = random.Random(8)
    latencies, _ = simulate(rate, 200_000, 6, lambda _: shuffler.expovariate(service_rate))
    for percent in (50, 90, 99, 99.9):
        expected = -math.log(1 - percent / 100) / (service_rate - rate)
        found = percentile(latencies.tolist(), percent)
        assert found is not None
        assert found.seconds == pytest.approx(expected, rel=0.05 if percent < 99.9 else 0.12)


def test_a_query_that_takes_long_is_charged_for_those_that_it_keeps_waiting() -> None:
    """No coordinated omission: a stall of a second is the latency of all that were due in it."""
    due = [0.01 * number for number in range(200)]
    clock = SimulatedClock()

    def query(number: int) -> None:
        clock.now += 1.0 if number == 50 else 0.001

    latencies, waits = map(np.array, serve(query, due, clock.read, clock.wait))
    after = np.arange(51, 150)
    np.testing.assert_allclose(
        waits[after], np.maximum(0, 1.0 - 0.009 * (after - 50) - 0.001), atol=0.0105
    )
    assert (latencies > 0.1).sum() >= 98
    np.testing.assert_allclose(latencies[:50], 0.001)


def test_more_than_can_be_served_waits_ever_longer() -> None:
    latencies, _ = simulate(2 / SERVICE_S, 4000, 1, lambda _: SERVICE_S)
    # of n queries in half the time that they take, the last waits for the other half
    assert latencies[-1] == pytest.approx(4000 * SERVICE_S / 2, rel=0.1)


def test_arrivals_are_a_poisson_process() -> None:
    due = np.array(arrivals(250.0, 100_000, 3))
    gaps = np.diff(due, prepend=0.0)
    assert (gaps > 0).all()
    assert gaps.mean() == pytest.approx(1 / 250, rel=0.015)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02)
    counts = np.bincount((due[due < 390] * 10).astype(int))  # in tenths of a second: mean 25
    assert counts.var() == pytest.approx(counts.mean(), rel=0.1)


def test_a_seed_gives_one_pattern_at_every_rate() -> None:
    slow, fast = arrivals(10.0, 50, 4), arrivals(20.0, 50, 4)
    np.testing.assert_allclose(slow, 2 * np.array(fast))
    assert slow == arrivals(10.0, 50, 4) != arrivals(10.0, 50, 5)


def test_the_real_clock_is_waited_for() -> None:
    due = arrivals(500.0, 20, 2)
    latencies, waits = serve(lambda number: None, due)
    assert len(latencies) == 20
    assert all(wait >= 0 for wait in waits)
    assert all(a >= b for a, b in zip(latencies, waits, strict=True))
    wait_until(0.0)  # long past: returns
