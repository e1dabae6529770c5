"""The parts of the engine benchmark by name, run one after the other into one document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.engine import (
    ablation,
    batch_sizes,
    cold_start,
    layers,
    overhead,
    peers,
    roofline,
    scaling,
)
from bench.engine.setup import Setup
from bench.results.result import Result
from bench.workers.process import WorkerError
from columnar_nn.errors import UsageError

SCHEMA_VERSION = 1
"""Of the JSON document. 1: context, parts by name as their modules' dataclasses, failures."""

PARTS: Mapping[str, Callable[[Setup], Any]] = {
    "roofline": roofline.measure,
    "layers": layers.measure,
    "ablation": ablation.measure,
    "overhead": overhead.measure,
    "peers": peers.measure,
    "batches": batch_sizes.measure,
    "threads": scaling.measure,
    "coldstart": cold_start.measure,
}
"""What each part measures, in the order in which they run."""


def parse_parts(text: str) -> tuple[str, ...]:
    """Names of parts from "roofline,layers", in the order in which they run; raises UsageError."""
    asked = {part.strip() for part in text.split(",")}
    unknown = sorted(asked.difference(PARTS))
    if unknown:
        raise UsageError(f"--part {unknown[0]!r}: choose from {', '.join(PARTS)}")
    return tuple(name for name in PARTS if name in asked)


@dataclass
class EngineResult:
    """What was measured; `failures` has the reason of each part that could not be.

    `complete` is false if the run was interrupted.
    """

    context: Mapping[str, Any]
    parts: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    complete: bool = False

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "context": self.context,
            "parts": {name: asdict(part) for name, part in self.parts.items()},
            "failures": self.failures,
            "complete": self.complete,
        }

    def exit_code(self) -> int:
        """0 if every part was measured and every output that was compared passed, else 1."""
        comparisons = [getattr(part, "comparison", None) for part in self.parts.values()]
        failed = any(c.exit_code() for c in comparisons if isinstance(c, Result))
        return int(failed or bool(self.failures))


def run(names: Iterable[str], setup: Setup, result: EngineResult) -> None:
    """Measures the named parts into `result`, which keeps what there is if it is interrupted."""
    for name in names:
        try:
            result.parts[name] = PARTS[name](setup)
        except WorkerError as error:
            result.failures[name] = str(error)
    result.complete = True
