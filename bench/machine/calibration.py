"""A fixed loop, timed: whether the processor is as fast as it was a while ago."""

from __future__ import annotations

import time

import numpy as np

from columnar_nn.kernels import roofline

REPEATS = 500_000
"""Of ACCUMULATORS multiply-adds of vectors: some 3 million cycles on any processor, a millisecond.
Longer than what a clock or a call costs, shorter than what goes by between two disturbances."""

TURNS = 20


def turns(count: int = TURNS) -> list[float]:
    """Seconds of each of `count` runs of the loop, all in registers, on one thread."""
    values = np.zeros(roofline.lanes(), np.float32)
    roofline.multiply_adds(1, 0.5, 1.0, values)  # which compiles it
    found = []
    for _ in range(count):
        start = time.perf_counter()
        roofline.multiply_adds(REPEATS, 0.5, 1.0, values)
        found.append(time.perf_counter() - start)
    return found


def seconds() -> float:
    """The fastest run of the loop: the processor's clock, whoever else used it meanwhile."""
    return min(turns())
