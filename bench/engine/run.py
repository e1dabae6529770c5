"""The parts of the engine benchmark by name, run one after the other into one document."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.engine import (
    ablation,
    batch_sizes,
    cold_start,
    latency,
    layers,
    networks,
    operators,
    overhead,
    peers,
    roofline,
    scaling,
    steps,
)
from bench.engine.recording import record
from bench.engine.setup import Setup
from bench.results.recording import Recorder
from bench.results.result import Result
from bench.results.results import Results
from bench.results.session import Session, Workloads
from bench.workers.process import WorkerError
from columnar_nn.errors import UsageError

PARTS: Mapping[str, Callable[[Setup], Any]] = {
    "roofline": roofline.measure,
    "layers": layers.measure,
    "steps": steps.measure,
    "ablation": ablation.measure,
    "overhead": overhead.measure,
    "latency": latency.measure,
    "peers": peers.measure,
    "networks": networks.measure,
    "operators": operators.measure,
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

    `seconds` says how long each part took; `sessions` has a session for each comparison and for
    what a part measured besides. `complete` is false if the run was interrupted.
    """

    context: Mapping[str, Any]
    parts: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    sessions: list[Results] = field(default_factory=list)
    complete: bool = False

    def results(self) -> Results:
        """All sessions as one."""
        return Results.of(row for session in self.sessions for row in session)

    def exit_code(self) -> int:
        """0 if every part was measured and every output that was compared passed, else 1."""
        comparisons = (result for part in self.parts.values() for result in _comparisons(part))
        failed = any(result.exit_code() for result in comparisons)
        return int(failed or bool(self.failures))


def run(names: Iterable[str], setup: Setup, result: EngineResult) -> None:
    """Measures the named parts into `result`, which keeps what there is if it is interrupted."""
    for name in names:
        session = Session(
            "engine",
            {**result.context["settings"], "part": name},
            setup.options.cpus,
            warnings=result.context["warnings"],
        )
        recorder = Recorder(session, Workloads(setup.graph, setup.dataset))
        complete, start = False, time.monotonic()
        try:
            result.parts[name] = PARTS[name](setup)
            record(result.parts[name], recorder, setup)
            complete = True
        except WorkerError as error:
            result.failures[name] = str(error)
            session.warn(f"{name} could not be measured: {error}")
        finally:
            result.seconds[name] = time.monotonic() - start
            own = recorder.results(complete)
            result.sessions += setup.measured
            setup.measured.clear()
            if own["cell"] or not complete:
                result.sessions.append(own)
    result.complete = True


def _comparisons(part: Any) -> tuple[Result, ...]:
    """Those of a part: one, several, or none of one that measures by itself."""
    if hasattr(part, "comparison"):
        return (part.comparison,)
    found: tuple[Result, ...] = getattr(part, "comparisons", ())
    return found
