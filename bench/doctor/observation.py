"""Watches the machine for some seconds: the same work again and again, and what others took."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.data.dataset import open_dataset
from bench.machine import calibration, cpus
from bench.machine.disturbance import Disturbance, Snapshot
from bench.text.progress import Progress
from bench.workers import inputs
from bench.workers.held import HeldWorker
from bench.workers.options import Options
from bench.workers.selection import Selection
from columnar_nn.model import zoo

MODEL, DATA, IMAGES = "plain9", "photo10", 32
ENGINE = Selection("columnar", "pipeline/auto")

LOOPS = 5
"""Runs of the fixed loop before each pair."""


@dataclass
class Observation:
    """What was seen; seconds, and frequencies in Hz.

    `loops` are runs of the fixed loop (bench/machine/calibration.py), `pairs` runs of one network
    on the same images, called A and B though they are alike: each pair took turns, which came
    first alternates. `disturbances` are of the pairs, unless the system does not tell them.
    `cores` are physical ones that were used.
    """

    load: tuple[float, float, float] = field(default_factory=os.getloadavg)
    """Load averages over 1, 5 and 15 minutes, before the first of it."""
    available_bytes: int = field(default_factory=lambda: psutil.virtual_memory().available)
    """Memory that was free before the first of it."""
    cores: int = 1
    loops: list[float] = field(default_factory=list)
    pairs: list[tuple[float, float]] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    frequencies: list[float] = field(default_factory=list)
    complete: bool = False
    """Whether it was not ended before its time."""


def observe(seconds: float, options: Options, folder: Path, show: Progress) -> Observation:
    """Observes for so many seconds after the start of the engine; Ctrl-C ends it earlier.

    Raises WorkerError if the engine fails.
    """
    graph = zoo.resolve(MODEL)
    dataset = open_dataset(DATA, IMAGES).fitted_to(graph)
    data = inputs.prepare(folder, graph, dataset, IMAGES, IMAGES)
    found = Observation(cores=len(cpus.physical(options.cpus)))
    with HeldWorker(options, folder) as worker:
        worker.start(ENGINE, data)
        _run(worker, data.images)  # compiles what is missing
        with contextlib.suppress(KeyboardInterrupt):
            for done in _until(seconds):
                show(int(done), int(seconds), "watching the machine")
                found.loops += calibration.turns(LOOPS)
                found.frequencies += _frequencies(options.cpus)
                _observe_pair(found, worker, data.images, options.cpus)
            found.complete = True
    return found


def _until(seconds: float) -> Iterator[float]:
    """The seconds gone by, again and again until they are so many."""
    start = time.monotonic()
    while (gone := time.monotonic() - start) < seconds:
        yield gone


def _observe_pair(
    found: Observation, worker: HeldWorker, images: Path, chosen: Sequence[int]
) -> None:
    before = Snapshot.take(worker.pids, chosen)
    first, second = _run(worker, images), _run(worker, images)
    after = Snapshot.take(worker.pids, chosen)
    if before and after:
        found.disturbances.append(before.until(after))
    swapped = len(found.pairs) % 2
    found.pairs.append((second, first) if swapped else (first, second))


def _run(worker: HeldWorker, images: Path) -> float:
    reply = worker.ask("run", images=str(images), samples=IMAGES, batch_size=IMAGES, prime=True)
    return float(reply["times"][0])


def _frequencies(chosen: Sequence[int]) -> list[float]:
    """Of each of the CPUs just now, as far as the system tells."""
    try:
        known = psutil.cpu_freq(percpu=True)
    except (OSError, NotImplementedError):
        return []
    return [known[cpu].current * 1e6 for cpu in chosen if cpu < len(known) and known[cpu].current]
