"""What one core of this machine can do at most, measured: the two lines of a roofline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

MATRIX_ROWS = 768
COPY_BYTES = 64 * 2**20
REPEATS = 7


@dataclass(frozen=True)
class MachinePeak:
    """Of one thread: float32 operations and bytes to or from memory, both a nanosecond.

    A multiply-add is two operations. The first is what a large matrix product by NumPy's BLAS
    reaches, a little below the processor's limit; the second what copying large arrays does.
    """

    gflops: float
    gigabytes_per_second: float

    def attainable_gflops(self, intensity: float) -> float:
        """The roofline: most operations a nanosecond at `intensity` operations a byte."""
        return min(self.gflops, intensity * self.gigabytes_per_second)


def measure() -> MachinePeak:
    """Takes about a third of a second; the best of several runs of each."""
    a = np.random.default_rng(0).random((MATRIX_ROWS, MATRIX_ROWS), np.float32)
    product = np.empty_like(a)
    source = np.ones(COPY_BYTES // 4, np.float32)
    target = np.empty_like(source)
    with threadpool_limits(1):
        seconds = _best(lambda: np.matmul(a, a, out=product))
    gflops = 2 * MATRIX_ROWS**3 / seconds / 1e9
    copied = _best(lambda: np.copyto(target, source))
    return MachinePeak(gflops, 2 * COPY_BYTES / copied / 1e9)


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs, after one that warms up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
