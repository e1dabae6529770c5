"""The columnar engine and the best configuration of every other engine, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from adapters import registry
from bench import cells
from bench.cells import Selection
from bench.engine.setup import Setup, columnar
from bench.result import Result

CONFIGURATIONS = ("pipeline/auto", "pipeline/direct")
SAMPLES = (1, 32, 128, 512, 2000, 10_000)


@dataclass(frozen=True)
class Peers:
    """Times from Arrow batches in to Arrow outputs out, one thread, interleaved in one run."""

    comparison: Result


def measure(setup: Setup) -> Peers:
    """A cell of which one run would exceed the budget is not run."""
    ours = [columnar(name) for name in CONFIGURATIONS]
    return Peers(setup.compare([*ours, *best_of_peers()], SAMPLES))


def best_of_peers() -> list[Selection]:
    """The configuration of each other engine that its adapter calls the best, else its default.

    An engine whose adapter cannot be imported stays in, to be reported as skipped.
    """
    chosen = []
    for name in registry.BACKENDS:
        if name in ("columnar", "reference"):
            continue
        selections = cells.select([name])
        roles = {s.configuration: _role(s) for s in selections}
        best = [s for s in selections if roles[s.configuration] == "best"]
        chosen.append((best or list(selections))[0])
    return chosen


def _role(selection: Selection) -> str:
    try:
        return registry.load(selection.backend).configurations[selection.configuration].role
    except ImportError:
        return "default"
