"""The limits of this machine: multiply-adds in registers, bandwidth of each level of memory."""

from __future__ import annotations

from dataclasses import dataclass

from bench.engine.setup import Setup
from bench.machine.peak import working_sets
from bench.workers.held import HeldWorker
from columnar_nn.kernels import host
from columnar_nn.kernels.roofline import STREAMS


@dataclass(frozen=True)
class Bandwidth:
    """Gigabytes a second of threads together, by kernel, over arrays of `num_bytes` a thread."""

    level: str
    num_bytes: int
    threads: int
    gigabytes_per_second: dict[str, float]


@dataclass(frozen=True)
class Roofline:
    """`gflops` is what so many threads reach together, a multiply-add being two operations."""

    vector_width: int
    fused_multiply_add: bool
    gflops: dict[int, float]
    bandwidths: tuple[Bandwidth, ...]


def measure(setup: Setup) -> Roofline:
    """Takes a few seconds; each figure is the best of several short runs."""
    levels = working_sets(setup.options.threads)
    counts = sorted({1, setup.options.threads})
    gflops: dict[int, float] = {}
    bandwidths: list[Bandwidth] = []
    total, done = len(setup.thread_counts) + len(counts), 0
    for threads in setup.thread_counts:
        with setup.worker(threads) as worker:
            setup.progress(done, total, f"multiply-adds on {threads} thread(s)")
            gflops[threads] = worker.ask("gflops", threads=threads)["value"]
            done += 1
            if threads in counts:
                setup.progress(done, total, f"bandwidth of {threads} thread(s)")
                bandwidths += [_bandwidth(worker, *level, threads) for level in levels.items()]
                done += 1
    return Roofline(
        vector_width=host.vector_width(),
        fused_multiply_add=host.has_fused_multiply_add(),
        gflops=gflops,
        bandwidths=tuple(bandwidths),
    )


def _bandwidth(worker: HeldWorker, level: str, num_bytes: int, threads: int) -> Bandwidth:
    values = {
        kernel: worker.ask("bandwidth", kernel=kernel, num_bytes=num_bytes, threads=threads)[
            "value"
        ]
        for kernel in STREAMS
    }
    return Bandwidth(level, num_bytes, threads, values)
