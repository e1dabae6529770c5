"""Every kernel of the network: its time, work and share of the core's peak, for two algorithms."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.engine.setup import BATCH_SIZE, PROFILED_IMAGES, Setup, columnar
from bench.machine.disturbance import Disturbance
from bench.workers.held import HeldWorker

CONFIGURATIONS = ("pipeline/direct", "pipeline/auto")
ROUNDS = 5


@dataclass(frozen=True)
class TimedLayer:
    """A kernel and its work on one image.

    `operations` are those of the operator's definition, a multiply-add being two, which Winograd
    saves some of; `executed` are two for each multiply-add that the kernel really executes, with
    padded channels and ragged tiles (0 for kernels without any). `num_bytes` are its input,
    packed weights and output. `nanoseconds` is the median of the runs an image, `seconds` those of
    each run.
    """

    label: str
    kernel: str
    output_shape: tuple[int, ...]
    operations: int
    executed: int
    num_bytes: int
    nanoseconds: float
    seconds: tuple[float, ...] = ()

    @property
    def effective_gflops(self) -> float:
        return self.operations / self.nanoseconds

    @property
    def executed_gflops(self) -> float:
        return self.executed / self.nanoseconds

    @property
    def intensity(self) -> float:
        """Executed operations a byte."""
        return self.executed / self.num_bytes


@dataclass(frozen=True)
class LayerTimes:
    """One configuration, nanoseconds an image: its layers, and whole runs without their clocks.

    `plain` and `profiled` are the seconds of each whole run, without and with them, `plain` turn by
    turn; `disturbances` is what others took of each turn.
    """

    configuration: str
    layers: tuple[TimedLayer, ...]
    end_to_end: float
    plain: tuple[tuple[float, ...], ...] = ()
    disturbances: tuple[Disturbance | None, ...] = ()
    profiled: tuple[float, ...] = ()

    @property
    def kernels(self) -> float:
        """Sum of the layers."""
        return sum(layer.nanoseconds for layer in self.layers)


@dataclass(frozen=True)
class LayersResult:
    """Both configurations, one thread, and the peaks measured in between."""

    core_gflops: float
    images: int
    batch_size: int
    configurations: tuple[LayerTimes, ...]
    peaks: tuple[float, ...] = ()


def measure(setup: Setup) -> LayersResult:
    """Profiles the configurations in turn, in random order, and the peak in every round."""
    shuffler = random.Random(setup.seed)
    peaks: list[float] = []
    replies: dict[str, list[dict[str, Any]]] = {name: [] for name in CONFIGURATIONS}
    disturbances: dict[str, list[Disturbance | None]] = {name: [] for name in CONFIGURATIONS}
    with contextlib.ExitStack() as stack:
        workers: dict[str, HeldWorker] = {}
        for name in CONFIGURATIONS:
            workers[name] = stack.enter_context(setup.worker())
            workers[name].start(columnar(name), setup.data)
        for turn in range(ROUNDS):
            for name in shuffler.sample(CONFIGURATIONS, len(CONFIGURATIONS)):
                setup.progress(turn, ROUNDS, f"profiling {name}")
                peaks.append(workers[name].ask("gflops", threads=1)["value"])
                reply, disturbance = workers[name].watch(
                    "profile",
                    images=str(setup.data.images),
                    samples=PROFILED_IMAGES,
                    batch_size=BATCH_SIZE,
                    min_seconds=setup.limits.min_time / ROUNDS,
                )
                replies[name].append(reply)
                disturbances[name].append(disturbance)
    return LayersResult(
        core_gflops=max(peaks),
        images=PROFILED_IMAGES,
        batch_size=BATCH_SIZE,
        configurations=tuple(
            _layer_times(name, replies[name], disturbances[name]) for name in CONFIGURATIONS
        ),
        peaks=tuple(peaks),
    )


def _layer_times(
    configuration: str, replies: list[dict[str, Any]], disturbances: list[Disturbance | None]
) -> LayerTimes:
    runs = np.concatenate([reply["nanoseconds"] for reply in replies])
    medians = np.median(runs, axis=0) / PROFILED_IMAGES
    plain = np.concatenate([reply["plain"] for reply in replies])
    return LayerTimes(
        configuration=configuration,
        layers=tuple(
            TimedLayer(
                label=step["label"],
                kernel=step["kernel"],
                output_shape=tuple(step["output_shape"]),
                operations=step["operations"],
                executed=2 * step["multiply_adds"],
                num_bytes=step["input_bytes"] + step["weight_bytes"] + step["output_bytes"],
                nanoseconds=float(nanoseconds),
                seconds=tuple(float(value) / 1e9 for value in of_runs),
            )
            for step, nanoseconds, of_runs in zip(replies[0]["steps"], medians, runs.T, strict=True)
        ),
        end_to_end=float(np.median(plain)) / PROFILED_IMAGES * 1e9,
        plain=tuple(tuple(reply["plain"]) for reply in replies),
        disturbances=tuple(disturbances),
        profiled=tuple(seconds for reply in replies for seconds in reply["profiled"]),
    )
