"""The columnar engine and every other engine, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from adapters import registry
from bench.engine.setup import Setup
from bench.results.result import Result
from bench.workers.selection import Selection, select

DIRECT = "columnar:pipeline/direct"
SAMPLES = (1, 32, 128, 512, 2000, 10_000)


@dataclass(frozen=True)
class Peers:
    """Times from Arrow batches in to Arrow outputs out, one thread, interleaved in one run."""

    comparison: Result


def measure(setup: Setup) -> Peers:
    """All engines. A cell of which one run would exceed the budget is not run."""
    return Peers(setup.compare("peers", [*engines(), *select([DIRECT])], SAMPLES))


def engines() -> tuple[Selection, ...]:
    """The default configuration of each backend, the one that its adapter calls the best, and those
    that may compute in less than float32.

    All of them, since which is the fastest depends on the processor.
    """
    backends = [name for name in registry.BACKENDS if name != "reference"]
    return select([*backends, *(label for name in backends for label in _narrow(name))])


def _narrow(backend: str) -> list[str]:
    """Its configurations of less than float32; none if it cannot be imported, as a worker says."""
    try:
        known = registry.load(backend).configurations
    except ImportError:
        return []
    return [f"{backend}:{name}" for name, one in known.items() if one.precision != "float32"]
