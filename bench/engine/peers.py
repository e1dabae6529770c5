"""The columnar engine and every other engine, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from adapters import registry
from bench.engine.setup import Setup, columnar
from bench.results.result import Result
from bench.workers.selection import select

CONFIGURATIONS = ("pipeline/auto", "pipeline/direct")
SAMPLES = (1, 32, 128, 512, 2000, 10_000)


@dataclass(frozen=True)
class Peers:
    """Times from Arrow batches in to Arrow outputs out, one thread, interleaved in one run."""

    comparison: Result


def measure(setup: Setup) -> Peers:
    """The default configuration of each backend, and the one that its adapter calls the best.

    Both, since which is faster depends on the processor. A cell of which one run would exceed
    the budget is not run.
    """
    peers = [name for name in registry.BACKENDS if name not in ("columnar", "reference")]
    ours = [columnar(name) for name in CONFIGURATIONS]
    return Peers(setup.compare("peers", [*ours, *(select(peers) if peers else ())], SAMPLES))
