"""Profiles engines in worker processes, one after the other in random order, round by round."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.operator_profile import OperatorProfile
from bench.compare.selection import Selection
from bench.data.dataset import Dataset
from bench.files.temporary import temporary_folder
from bench.profile.result import EngineProfile, ProfileResult, Run
from bench.verdict.status import CRASHED, PASSED
from bench.workers import inputs
from bench.workers import start as cold_start
from bench.workers.inputs import Inputs
from bench.workers.process import WorkerError, WorkerProcess
from columnar_nn.model.graph import Graph

SESSION = "bench.profile.session:ProfileSession"


@dataclass(frozen=True)
class Options:
    """What is profiled, on which images and CPUs, and how often.

    An engine that has run for `budget` seconds is in no further round; `timeout` is in seconds a
    command.
    """

    selections: tuple[Selection, ...]
    samples: int
    batch_size: int
    algorithm: str
    cpus: tuple[int, ...]
    rounds: int
    budget: float
    timeout: float
    seed: int


def measure(
    options: Options,
    graph: Graph,
    dataset: Dataset,
    context: Mapping[str, Any],
    progress: Callable[[int, int, str], None] = lambda done, total, doing: None,
) -> ProfileResult:
    """Every engine's profile; one that fails has a status and a reason instead."""
    shuffler = random.Random(options.seed)
    with temporary_folder() as folder:
        data = inputs.prepare(folder, graph, dataset, options.samples, options.batch_size)
        engines = [_Engine(selection, options, data, folder) for selection in options.selections]
        total = len(engines) * (options.rounds + 1)
        try:
            for done, engine in enumerate(engines):
                progress(done, total, f"starting {engine.label}")
                engine.attempt(engine.start)
            for turn in range(options.rounds):
                for index, engine in enumerate(shuffler.sample(engines, len(engines))):
                    done = len(engines) * (turn + 1) + index
                    progress(done, total, f"profiling {engine.label}")
                    engine.attempt(engine.profile)
            for engine in engines:
                engine.attempt(engine.finish)
        finally:
            for engine in engines:
                engine.kill()
    return ProfileResult(context, options.samples, tuple(engine.record() for engine in engines))


class _Engine:
    """One engine, its worker stopped while it is not being asked anything."""

    def __init__(self, selection: Selection, options: Options, data: Inputs, folder: Path) -> None:
        self.label = selection.label
        self._selection, self._options, self._data = selection, options, data
        self._folder = folder
        self._worker: WorkerProcess | None = None
        self._status, self._reason = PASSED, ""
        self._facts: dict[str, Any] = {}
        self._plain: list[float] = []
        self._profiled: list[Run] = []

    def attempt(self, step: Callable[[], None]) -> None:
        """Does a step unless an earlier one failed; remembers if this one does."""
        if self._status != PASSED:
            return
        try:
            step()
        except WorkerError as error:
            self._status, self._reason = error.status, error.reason
            self.kill()

    def start(self) -> None:
        """Imports, builds and warms up."""
        options = self._options
        folder = Path(tempfile.mkdtemp(prefix="worker-", dir=self._folder))
        self._worker = WorkerProcess(folder, options.cpus, SESSION)
        cold_start.start(
            self._ask,
            self._data,
            backend=self._selection.backend,
            configuration=self._selection.configuration,
            threads=len(options.cpus),
            batch_size=options.batch_size,
            algorithm=options.algorithm,
        )
        reply = self._ask_for("warm_up")
        self._facts = {name: reply[name] for name in ("source", "unavailable")}

    def profile(self) -> None:
        """One run without and, if there are any, one with operator clocks."""
        spent = sum(self._plain) + sum(run.seconds for run in self._profiled)
        if spent > self._options.budget:
            return
        reply = self._ask_for("profile", operators=bool(self._facts["source"]))
        self._plain.append(reply["plain"])
        if "operators" in reply:
            operators = tuple(
                OperatorProfile(**{**operator, "nodes": tuple(operator["nodes"])})
                for operator in reply["operators"]
            )
            self._profiled.append(Run(reply["profiled"], operators))

    def finish(self) -> None:
        """Counts hardware events of one run, asks what was run, and ends the worker."""
        reply = self._ask_for("count_events")
        self._facts |= {
            "counts": reply["counts"],
            "counters_unavailable": reply["unavailable"],
            "description": {
                name: value
                for name, value in self._ask("describe").items()
                if name != "peak_rss_bytes"
            },
        }
        assert self._worker is not None
        self._worker.close()
        self._worker = None

    def kill(self) -> None:
        """Ends the worker at once."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def record(self) -> EngineProfile:
        """What is known of the engine."""
        return EngineProfile(
            backend=self._selection.backend,
            configuration=self._selection.configuration,
            status=self._status,
            reason=self._reason,
            plain=tuple(self._plain),
            profiled=tuple(self._profiled),
            **self._facts,
        )

    def _ask_for(self, command: str, **arguments: Any) -> dict[str, Any]:
        options = self._options
        return self._ask(
            command,
            images=str(self._data.images),
            samples=options.samples,
            batch_size=options.batch_size,
            **arguments,
        )

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        if self._worker is None:
            raise WorkerError(CRASHED, "the worker was not started", fatal=True)
        return self._worker.request_then_pause(command, self._options.timeout, **arguments)


def default_backends() -> tuple[str, ...]:
    """Every engine as it is by default, or else at its best, the columnar one at each fusion level.

    What is best may merge all nodes into one operator, which tells nothing of layers. Of a backend
    whose adapter cannot be imported the name alone.
    """
    chosen: list[str] = []
    for backend in registry.BACKENDS:
        try:
            known = registry.load(backend).configurations
        except ImportError:
            chosen.append(backend)
            continue
        if backend == "columnar":
            names = [name for name in known if name.endswith("/auto")][::-1]
        else:
            roles = {configuration.role: name for name, configuration in known.items()}
            names = [roles.get("default") or roles["best"]]
        chosen += [f"{backend}:{name}" for name in names]
    return tuple(chosen)
