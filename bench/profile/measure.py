"""Profiles backends in worker processes, one after the other in random order, round by round."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.operator_profile import OperatorProfile
from bench.compare.experiment import Experiment
from bench.data.dataset import Dataset
from bench.files.temporary import temporary_folder
from bench.machine.disturbance import Disturbance
from bench.profile.result import BackendProfile, ProfiledRun, ProfileResult
from bench.text.progress import Progress, silent
from bench.verdict.status import PASSED
from bench.workers import inputs
from bench.workers.held import HeldWorker
from bench.workers.inputs import Inputs
from bench.workers.process import WorkerError
from bench.workers.selection import Selection
from columnar_nn.model.graph import Graph

SESSION = "bench.profile.session:ProfileSession"


def measure(
    experiment: Experiment,
    graph: Graph,
    dataset: Dataset,
    context: Mapping[str, Any],
    progress: Progress = silent,
) -> ProfileResult:
    """Every backend's profile, on one number of samples; of one that fails a status and a reason.

    There are as many rounds as the limits have runs; a backend that has run for their budget is in
    no further one.
    """
    (samples,) = experiment.samples
    rounds = experiment.limits.runs
    shuffler = random.Random(experiment.seed)
    with temporary_folder() as folder:
        data = inputs.prepare(folder, graph, dataset, samples, experiment.options.batch_size)
        profiled = [
            _Profiled(selection, experiment, data, folder) for selection in experiment.selections
        ]
        total = len(profiled) * (rounds + 1)
        try:
            for done, backend in enumerate(profiled):
                progress(done, total, f"starting {backend.label}")
                backend.attempt(backend.start)
            for turn in range(rounds):
                for index, backend in enumerate(shuffler.sample(profiled, len(profiled))):
                    done = len(profiled) * (turn + 1) + index
                    progress(done, total, f"profiling {backend.label}")
                    backend.attempt(backend.profile)
            for backend in profiled:
                backend.attempt(backend.finish)
        finally:
            for backend in profiled:
                backend.kill()
    return ProfileResult(context, samples, tuple(backend.record() for backend in profiled))


class _Profiled:
    """One backend while it is being profiled."""

    def __init__(
        self, selection: Selection, experiment: Experiment, data: Inputs, folder: Path
    ) -> None:
        self.label = selection.label
        self._selection, self._data = selection, data
        self._budget = experiment.limits.budget
        (samples,) = experiment.samples
        self._images = {
            "images": str(data.images),
            "samples": samples,
            "batch_size": experiment.options.batch_size,
        }
        self._worker = HeldWorker(experiment.options, folder, SESSION)
        self._status, self._reason = PASSED, ""
        self._facts: dict[str, Any] = {}
        self._plain: list[float] = []
        self._disturbances: list[Disturbance | None] = []
        self._profiled: list[ProfiledRun] = []

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
        self._worker.start(self._selection, self._data)
        reply = self._worker.ask("warm_up", **self._images)
        self._facts = {name: reply[name] for name in ("source", "unavailable")}

    def profile(self) -> None:
        """One run without and, if there are any, one with operator clocks."""
        spent = sum(self._plain) + sum(run.seconds for run in self._profiled)
        if spent > self._budget:
            return
        has_clocks = bool(self._facts["source"])
        reply, disturbance = self._worker.watch("profile", operators=has_clocks, **self._images)
        self._plain.append(reply["plain"])
        self._disturbances.append(disturbance)
        if has_clocks:
            operators = tuple(
                OperatorProfile(**{**operator, "nodes": tuple(operator["nodes"])})
                for operator in reply["operators"]
            )
            self._profiled.append(ProfiledRun(reply["profiled"], operators))

    def finish(self) -> None:
        """Counts hardware events of one run, asks what was run, and ends the worker."""
        reply = self._worker.ask("count_events", **self._images)
        description = self._worker.ask("describe")
        del description["peak_rss_bytes"]
        self._facts |= {
            "counts": reply["counts"],
            "counters_unavailable": reply["unavailable"],
            "description": description,
        }
        self._worker.finish()

    def kill(self) -> None:
        """Ends the worker at once."""
        self._worker.kill()

    def record(self) -> BackendProfile:
        """What is known of the backend."""
        return BackendProfile(
            backend=self._selection.backend,
            configuration=self._selection.configuration,
            status=self._status,
            reason=self._reason,
            plain=tuple(self._plain),
            disturbances=tuple(self._disturbances),
            profiled=tuple(self._profiled),
            **self._facts,
        )


def default_backends() -> tuple[str, ...]:
    """Every backend by default, or else at its best, the columnar one at each fusion level.

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
