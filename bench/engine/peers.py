"""The columnar engine and every other engine, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from adapters import registry
from bench.engine.setup import Setup
from bench.results.result import Result
from bench.workers.selection import Selection, select

DIRECT = "columnar:pipeline/direct"
NARROW = ("columnar:bfloat16", "openvino:default", "pytorch:bfloat16")
"""What may compute in less than float32: the first, and the others, which it is to be held against.
"""

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
    that are NARROW where there are such.

    All of them, since which is the fastest depends on the processor.
    """
    chosen = select([name for name in registry.BACKENDS if name != "reference"])
    narrow = [label for label in NARROW if _is_known(label)]
    if NARROW[0] in narrow:
        chosen += select(narrow)
    return tuple({selection.label: selection for selection in chosen}.values())


def _is_known(label: str) -> bool:
    backend, _, configuration = label.partition(":")
    if backend not in registry.BACKENDS:
        return False
    try:
        return configuration in registry.load(backend).configurations
    except ImportError:  # `select` keeps the backend, for its worker to report why
        return False
