"""From process start to the first logits: with an empty cache of compiled kernels, with a full one,
and by ONNX Runtime.

Files that the operating system has read before are in its memory in every case.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Any

from bench.engine.setup import Setup, columnar
from bench.workers.held import HeldWorker
from bench.workers.process import WorkerError
from bench.workers.selection import Selection, select_one
from columnar_nn.settings import variables

OURS = columnar("pipeline/auto")
PEER = "onnxruntime"
EMPTY, WARM = "empty", "warm"
STARTS = 5


@dataclass(frozen=True)
class ColdStart:
    """One engine and the state of its cache of kernels, "" of one that has none.

    Of each start the seconds of process, import, build (with compilation), first image and in all,
    by the names that bench.results.result.BackendRecord has, and of the CPU in all as `cpu_s`.
    """

    selection: Selection
    cache: str
    starts: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class ColdStarts:
    """Starts of each kind, in turn; why those of ONNX Runtime are missing, if they are."""

    states: tuple[ColdStart, ...]
    missing: str = ""

    def of(self, backend: str, cache: str = "") -> ColdStart | None:
        """Those of one engine; None if it was not started."""
        kinds = (kind for kind in self.states if kind.cache == cache)
        return next((kind for kind in kinds if kind.selection.backend == backend), None)


def measure(setup: Setup) -> ColdStarts:
    """Each start is a process of its own; the columnar engine's have a cache of their own or a
    common one.

    Every kind begins once before any is timed, so that none of them reads its files from a disk.
    """
    common = tempfile.mkdtemp(prefix="cache-", dir=setup.folder)
    _start(setup, OURS, common)
    peer, missing = select_one(PEER), ""
    try:
        _start(setup, peer, common)
    except WorkerError as error:
        missing = f"{peer.label}: {error}"
    empty: list[dict[str, float]] = []
    warm: list[dict[str, float]] = []
    others: list[dict[str, float]] = []
    for turn in range(STARTS):
        setup.progress(turn, STARTS, "cold starts")
        empty.append(_start(setup, OURS, tempfile.mkdtemp(prefix="cache-", dir=setup.folder)))
        warm.append(_start(setup, OURS, common))
        if not missing:
            others.append(_start(setup, peer, common))
    kinds = [ColdStart(OURS, EMPTY, tuple(empty)), ColdStart(OURS, WARM, tuple(warm))]
    if others:
        kinds.append(ColdStart(peer, "", tuple(others)))
    return ColdStarts(tuple(kinds), missing)


def _start(setup: Setup, selection: Selection, cache_folder: str) -> dict[str, float]:
    own = {variables.CACHE_DIR: cache_folder}
    # not EngineSession, which imports the columnar engine before any backend is asked for
    with HeldWorker(setup.options.on_threads(1), setup.folder, variables=own) as worker:
        parts: dict[str, Any] = worker.start(selection, setup.data)
        cpu = worker.ask("cpu_seconds")["value"]
    return {name: value for name, value in parts.items() if name.endswith("_s")} | {"cpu_s": cpu}
