"""Every operator alone beside ONNX Runtime: which ones a network would wait for."""

from __future__ import annotations

from dataclasses import dataclass

from bench.engine.operator_cases import CASES, SAMPLES
from bench.engine.setup import Setup, columnar
from bench.results.result import Result
from bench.workers.selection import Selection

OURS, PEER = columnar("pipeline/auto"), Selection("onnxruntime", "default")


@dataclass(frozen=True)
class Operators:
    """One comparison for each case, both engines interleaved in it, one thread."""

    comparisons: tuple[Result, ...]


def measure(setup: Setup) -> Operators:
    """Compares both on every case; the network and the images of the setup are not used."""
    found = []
    for index, case in enumerate(CASES):
        alone = setup.of_several(index, len(CASES), case.graph(), case.dataset())
        found.append(alone.compare("operators", [OURS, PEER], [SAMPLES]))
    return Operators(tuple(found))
