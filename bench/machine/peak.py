"""What this machine can do at most, measured: the lines of a roofline (Williams et al., 2009)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.machine import environment
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

_SHARED_LEVEL = 3
"""The first cache level that cores share, by which each gets only a part of it."""

_UNKNOWN_CACHE_BYTES = 16 * 2**10
"""Stays in the first cache of any processor, should the system not tell its size."""


@dataclass(frozen=True)
class Level:
    """A cache, or memory, whose size is infinite: bytes it holds, and bytes a nanosecond to it."""

    num_bytes: float
    gigabytes_per_second: float


@dataclass(frozen=True)
class MachinePeak:
    """Of one thread: float32 operations a nanosecond, and each level of memory, by name.

    A multiply-add is two operations, and the figure what independent ones in registers reach. The
    levels stand from the first cache to memory, with the fastest of STREAM's kernels.
    """

    gflops: float
    levels: Mapping[str, Level]

    def least_nanos(self, operations: int, read_bytes: int, written_bytes: int) -> float:
        """The roofline: nanoseconds for the operations or for the bytes, whichever take longer.

        All bytes cross to the first cache; of those read, as of those written, a level holds no
        more than its size, so that the others cross to the next.
        """
        least, held = operations / self.gflops, 0.0
        for level in self.levels.values():
            crossing = max(0.0, read_bytes - held) + max(0.0, written_bytes - held)
            least, held = max(least, crossing / level.gigabytes_per_second), level.num_bytes
        return least


def measure() -> MachinePeak:
    """Takes about two seconds; the best of several runs of each.

    Where the system does not tell of any cache, all bytes count as if they were in the first.
    """
    sizes = {f"L{level}": size for level, size in environment.cache_bytes().items()}
    sets = working_sets() if sizes else {"L1": _UNKNOWN_CACHE_BYTES}
    found = {
        name: Level(
            sizes.get(name, math.inf),
            max(gigabytes_per_second(stream, num_bytes) for stream in ("read", "triad")),
        )
        for name, num_bytes in sets.items()
    }
    return MachinePeak(gflops(), found)


def working_sets(threads: int = 1) -> dict[str, int]:
    """Bytes of arrays that stay in each level: half of a cache, of a shared one a thread's half."""
    sets = {
        f"L{level}": size // 2 // (threads if level >= _SHARED_LEVEL else 1)
        for level, size in environment.cache_bytes().items()
    }
    return {**sets, "memory": MEMORY_BYTES}


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
    # The fastest of some: one run that lost its CPU would make a turn of a single repetition.
    while (seconds := min(_seconds(work, 1, repeats) for _ in range(_MIN_TURNS))) < turn / 2:
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
