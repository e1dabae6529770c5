"""Every operator alone beside ONNX Runtime: which ones a network would wait for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.engine.operator_cases import CASES, SAMPLES
from bench.engine.setup import Setup, columnar
from bench.results.result import Result
from bench.text.progress import Progress
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
        progress = _share(setup.progress, index, case.name)
        alone = replace(setup, graph=case.graph(), dataset=case.dataset(), progress=progress)
        found.append(alone.compare("operators", [OURS, PEER], [SAMPLES]))
    return Operators(tuple(found))


def _share(progress: Progress, index: int, name: str) -> Progress:
    """The progress of one case as a share of that of all."""

    def show(done: int, total: int, doing: str) -> None:
        progress(index * total + done, len(CASES) * total, f"{name}: {doing}")

    return show
