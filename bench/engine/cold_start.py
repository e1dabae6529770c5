"""From process start to the first logits, with an empty cache of compiled kernels and a full one.

Files that the operating system has read before are in its memory in either case.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Any

from bench.engine.setup import Setup, columnar
from columnar_nn.settings import variables

CONFIGURATION = "pipeline/auto"
STARTS = 5


@dataclass(frozen=True)
class ColdStart:
    """Seconds of each start: process, import, build (with compilation), first image, total."""

    cache: str
    starts: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class ColdStarts:
    """Starts with either state of the cache, in turn."""

    configuration: str
    states: tuple[ColdStart, ...]


def measure(setup: Setup) -> ColdStarts:
    """Each start is a process of its own, with a cache of its own or a common one."""
    common = tempfile.mkdtemp(prefix="cache-", dir=setup.folder)
    _start(setup, common)
    found: dict[str, list[dict[str, float]]] = {"empty": [], "warm": []}
    for turn in range(STARTS):
        setup.progress(turn, STARTS, "cold starts")
        empty = tempfile.mkdtemp(prefix="cache-", dir=setup.folder)
        found["empty"].append(_start(setup, empty))
        found["warm"].append(_start(setup, common))
    return ColdStarts(
        CONFIGURATION, tuple(ColdStart(state, tuple(starts)) for state, starts in found.items())
    )


def _start(setup: Setup, cache_folder: str) -> dict[str, float]:
    with setup.worker(variables={variables.CACHE_DIR: cache_folder}) as worker:
        parts: dict[str, Any] = worker.start(columnar(CONFIGURATION), setup.data)
    return {name: seconds for name, seconds in parts.items() if name.endswith("_s")}
