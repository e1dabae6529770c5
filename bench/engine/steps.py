"""What each step up from the textbook's convolution is worth (docs/kernels.md has the walk)."""

from __future__ import annotations

from dataclasses import dataclass

from bench.engine.setup import Setup, columnar
from bench.results.result import Result

STEPS = {
    "none/textbook": "textbook",
    "none/direct": "+ blocks and register tiles",
    "layer/direct": "+ layers fused",
    "pipeline/direct": "+ image by image",
    "pipeline/auto": "+ Winograd",
}
"""Each configuration of the engine, and what it has that the one before has not."""

SAMPLES = 32


@dataclass(frozen=True)
class Steps:
    """Times of every step, interleaved in one run, one thread."""

    comparison: Result


def measure(setup: Setup) -> Steps:
    """Compares the steps on so few images that the first takes seconds."""
    return Steps(setup.compare("steps", [columnar(name) for name in STEPS], [SAMPLES]))
