"""What each fusion level and algorithm is worth: time, bytes between kernels, memory."""

from __future__ import annotations

from dataclasses import dataclass

from bench.engine.setup import BATCH_SIZE, PROFILED_IMAGES, Setup, columnar
from bench.results.result import Result

CONFIGURATIONS = tuple(
    f"{fusion}/{algorithm}"
    for algorithm in ("direct", "auto")
    for fusion in ("none", "layer", "pipeline")
)
SAMPLES = 512


@dataclass(frozen=True)
class Traffic:
    """What the kernels of one configuration pass on, counted from their layouts.

    `intermediate_bytes` an image are written by a kernel and read by another, each counted;
    `held_bytes` is the memory of the operators at a batch of 128, in which that happens: less
    than a core's cache, or far more.
    """

    configuration: str
    kernels: int
    intermediate_bytes: int
    held_bytes: int


@dataclass(frozen=True)
class Ablation:
    """Times and peak memory of every configuration, interleaved in one run, one thread."""

    comparison: Result
    traffic: tuple[Traffic, ...]


def measure(setup: Setup) -> Ablation:
    """Compares the configurations, then runs each once more to ask for its kernels."""
    comparison = setup.compare("ablation", [columnar(name) for name in CONFIGURATIONS], [SAMPLES])
    traffic = []
    for index, name in enumerate(CONFIGURATIONS):
        setup.progress(index, len(CONFIGURATIONS), f"kernels of {name}")
        traffic.append(_traffic(setup, name))
    return Ablation(comparison, tuple(traffic))


def _traffic(setup: Setup, configuration: str) -> Traffic:
    with setup.worker() as worker:
        worker.start(columnar(configuration), setup.data)
        reply = worker.ask(
            "profile",
            images=str(setup.data.images),
            samples=PROFILED_IMAGES,
            batch_size=BATCH_SIZE,
            min_seconds=0.0,
        )
    steps = reply["steps"]
    read = sum(step["input_bytes"] for step in steps)
    written = sum(step["output_bytes"] for step in steps)
    return Traffic(
        configuration=configuration,
        kernels=len(steps),
        intermediate_bytes=read + written - steps[0]["input_bytes"] - steps[-1]["output_bytes"],
        held_bytes=reply["held_bytes"],
    )
