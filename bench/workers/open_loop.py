"""Queries that arrive whether or not those before them are done: an open loop, served in order.

A query's latency counts from when it was due, not from when its turn came: what a slow query keeps
waiting is charged for it (what would otherwise be left out is known as coordinated omission).
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Sequence

_WATCHED_S = 0.5e-3
"""A sleep ends so long before a query is due, and the clock is watched for the rest: sleeps end
late by a tenth of it."""


def arrivals(rate: float, queries: int, seed: int) -> list[float]:
    """When queries are due, in seconds from the start: a Poisson process of so many a second.

    Of one seed the queries come in the same pattern at any rate, only faster or slower.
    """
    shuffler = random.Random(seed)
    due, at = [], 0.0
    for _ in range(queries):
        at -= math.log(1.0 - shuffler.random()) / rate
        due.append(at)
    return due


def wait_until(moment: float) -> None:
    """Returns when time.perf_counter shows a moment: sleeps, and watches the clock at the end."""
    ahead = moment - time.perf_counter() - _WATCHED_S
    if ahead > 0:
        time.sleep(ahead)
    while time.perf_counter() < moment:
        pass


def serve(
    query: Callable[[int], object],
    due: Sequence[float],
    clock: Callable[[], float] = time.perf_counter,
    wait: Callable[[float], object] = wait_until,
) -> tuple[list[float], list[float]]:
    """Serves each query, by its number, when it is due or, while one is served, right after that.

    `wait` returns once `clock` shows a moment, at once if it is past. Returns the latency of each
    query, from when it was due to its end, and how long of that it waited for its turn, in seconds.
    The garbage collector runs before the first one and not between them.
    """
    latencies, waited = [], []
    gc.collect()
    gc.disable()
    try:
        begin = clock()
        for number, offset in enumerate(due):
            moment = begin + offset
            wait(moment)
            waited.append(clock() - moment)
            query(number)
            latencies.append(clock() - moment)
    finally:
        gc.enable()
    return latencies, waited
