"""What this machine can do at most, measured: the lines of a roofline (Williams et al., 2009)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from columnar_nn.kernels import roofline
from columnar_nn.kernels.layout import aligned

MEMORY_BYTES = 128 * 2**20
"""Bytes of the arrays that stand for memory: far more than any core's share of a cache."""

_TURN_S = 0.001
"""Seconds of a turn, of which the best counts. Shorter ones measure the call (a loss of 4% at
0.1 ms), longer ones interrupts and other processes (2% at 4 ms, on a busy machine)."""

_SHARED_TURN_S = 0.02
"""Seconds of a turn of several threads, which do not start at quite the same time."""

_TOTAL_S = 0.15
_MIN_TURNS = 5


@dataclass(frozen=True)
class MachinePeak:
    """Of one thread: float32 operations and bytes to or from memory, both a nanosecond.

    A multiply-add is two operations. The first is what independent multiply-adds in registers
    reach, the second STREAM's triad.
    """

    gflops: float
    gigabytes_per_second: float

    def least_nanos(self, operations: int, num_bytes: int) -> float:
        """The roofline: nanoseconds for the operations or for the bytes, whichever take longer."""
        return max(operations / self.gflops, num_bytes / self.gigabytes_per_second)


def measure() -> MachinePeak:
    """Takes about half a second; the best of several runs of each."""
    return MachinePeak(gflops(), gigabytes_per_second("triad", MEMORY_BYTES))


def gflops(threads: int = 1) -> float:
    """Multiply-adds of float32 vectors in registers, on every thread at once, as GFLOP/s."""
    values = [np.zeros(roofline.lanes(), np.float32) for _ in range(threads)]

    def work(thread: int, repeats: int) -> None:
        roofline.multiply_adds(repeats, 0.5, 1.0, values[thread])

    return 2 * roofline.lanes() * _rate(work, threads)


def gigabytes_per_second(name: str, num_bytes: int, threads: int = 1) -> float:
    """Bandwidth of the kernel `name` (see kernels.roofline.STREAMS), arrays of each thread its own.

    The arrays of a thread are `num_bytes` in all: below the size of a cache, they stay in it.
    """
    arrays = roofline.STREAMS[name]
    step = roofline.step_floats()
    floats = max(1, num_bytes // 4 // arrays // step) * step
    sources, targets = [], []
    for _ in range(threads):
        sources.append(_ones(floats * (2 if name == "triad" else 1)))
        targets.append(_ones(step if name == "read" else floats))

    def work(thread: int, repeats: int) -> None:
        roofline.stream(name, repeats, sources[thread], targets[thread])

    return 4 * floats * arrays * _rate(work, threads)


def _ones(floats: int) -> np.ndarray:
    array = aligned(4 * floats).view(np.float32)
    array[:] = 1  # memory that was never written is one page of zeros
    return array


def _rate(work: Callable[[int, int], None], threads: int) -> float:
    """Most repetitions of `work(thread, repetitions)` a nanosecond, over all threads."""
    turn = _TURN_S if threads == 1 else _SHARED_TURN_S
    work(0, 1)
    repeats = 1
    while (seconds := _seconds(work, 1, repeats)) < turn / 2:
        repeats = max(2 * repeats, int(repeats * turn / (seconds + 1e-6)))
    turns: list[float] = []
    while len(turns) < _MIN_TURNS or sum(turns) < _TOTAL_S:
        turns.append(_seconds(work, threads, repeats))
    return threads * repeats / min(turns) / 1e9


def _seconds(work: Callable[[int, int], None], threads: int, repeats: int) -> float:
    """From when every thread is ready to when the last one is done."""
    if threads == 1:
        start = time.perf_counter()
        work(0, repeats)
        return time.perf_counter() - start
    ready = threading.Barrier(threads + 1)

    def run(thread: int) -> None:
        ready.wait()
        work(thread, repeats)

    running = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    for thread in running:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in running:
        thread.join()
    return time.perf_counter() - start
