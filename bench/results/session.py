"""One session from its beginning to its end: what is recorded of it, and of what it was asked."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from adapters import declared_functions
from bench.machine import calibration, environment
from bench.machine.disturbance import Snapshot
from bench.results.results import Results
from bench.results.schema import EASE, HASH_DIGITS, MACHINE, PEAK, SESSION, WORKLOAD, Row
from columnar_nn.model.graph import Graph
from columnar_nn.model.layer_table import layers

_ISO = "%Y-%m-%dT%H:%M:%S%z"


class Session:
    """What is known of a session when it begins; its rows until it has ended, and then.

    `settings` are every option as it took effect, `cpus` those that are measured on; `label` is the
    user's name of the machine.
    """

    def __init__(
        self,
        command: str,
        settings: Mapping[str, Any],
        cpus: Sequence[int],
        *,
        warnings: Sequence[str] = (),
        import_check: Mapping[str, Any] | None = None,
        study: str | None = None,
        label: str | None = None,
    ) -> None:
        """`study` is the hash of the study that it belongs to."""
        self.id = secrets.token_hex(HASH_DIGITS // 2)
        self._cpus = cpus
        self._before = Snapshot.take([os.getpid()], cpus)
        self.machine = MACHINE.row(session_id=self.id, label=label, **environment.machine())
        self._opening: dict[str, Any] = {
            "session_id": self.id,
            "command": command,
            "machine_id": self.machine["machine_id"],
            "started": _now(),
            "argv": sys.argv[1:],
            "versions": environment.versions(),
            "commit": environment.git_commit(),
            "settings": settings,
            "seed": settings.get("seed"),
            "study": study,
            "warnings": list(warnings),
            "import_check": import_check,
            "functions": declared_functions.sha256() or None,
            "load_before": os.getloadavg()[0],
            "calibration_before_s": calibration.seconds(),
        }

    @classmethod
    def resumed(cls, row: Row, machine: Row, cpus: Sequence[int]) -> Session:
        """One that was interrupted, from its row and its machine's; that it was is a warning."""
        session = cls(row["command"], row["settings"], cpus, warnings=row["warnings"])
        kept = ("session_id", "started", "seed", "study", "import_check", "load_before")
        session._opening |= {name: row[name] for name in kept}
        session.id = row["session_id"]
        session.machine = dict(machine)
        session.warn(f"it was interrupted, and gone on with at {_now()}")
        return session

    @property
    def started_at(self) -> float:
        """When it began, as time.time has it, to a second."""
        return time.mktime(time.strptime(self._opening["started"], _ISO))

    def heading(self, graph: Graph, dataset: Images) -> dict[str, Any]:
        """What reports begin with: machine, settings, warnings, names of network and data."""
        return {
            "machine": self.machine,
            "settings": self._opening["settings"],
            "warnings": self._opening["warnings"],
            "model": {"name": graph.name},
            "data": {"name": dataset.name},
        }

    def warn(self, text: str) -> None:
        """Adds a warning that came up only later."""
        self._opening["warnings"].append(text)

    def opening(self) -> dict[str, Any]:
        """Its row while it goes on."""
        return SESSION.row(**self._opening, complete=False)

    def ended(self, complete: bool, truth: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Its row once it has ended; `complete` if nothing that was asked for is missing."""
        after = Snapshot.take([os.getpid()], self._cpus)
        taken = self._before.until(after) if self._before and after else None
        return SESSION.row(
            **self._opening,
            complete=complete,
            truth=truth,
            ended=_now(),
            steal_share=taken and taken.steal_s / taken.wall_s,
            load_after=os.getloadavg()[0],
            calibration_after_s=calibration.seconds(),
        )

    def results(
        self,
        rows: Iterable[tuple[str, Row]],
        complete: bool,
        truth: Mapping[str, Any] | None = None,
    ) -> Results:
        """It as it ends now, with all rows of what was measured."""
        own = [(MACHINE.name, self.machine), (SESSION.name, self.ended(complete, truth))]
        return Results.of([*own, *rows])


class Images(Protocol):
    """What a workload says of its images: as bench.data.dataset.Dataset does."""

    @property
    def name(self) -> str: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def fingerprint(self) -> str | None: ...
    @property
    def split(self) -> str | None: ...


class WorkloadRows(Protocol):
    """Rows of the table workload: as Workloads makes them, or of something else than a network."""

    @property
    def first_batch(self) -> int: ...
    def row(
        self,
        scenario: str,
        samples: int | None,
        batch_size: int | None,
        rate: float | None = None,
    ) -> dict[str, Any]: ...


class Workloads:
    """Workloads of one network on one set of images."""

    def __init__(self, graph: Graph, dataset: Images) -> None:
        self._graph = graph
        self._dataset = dataset

    @property
    def first_batch(self) -> int:
        """Images of a process's first run: one, unless the network is tied to more."""
        return self._graph.batch or 1

    def row(
        self,
        scenario: str,
        samples: int | None,
        batch_size: int | None,
        rate: float | None = None,
    ) -> dict[str, Any]:
        """The workload of so many images in a scenario (bench/results/schema.py), at a rate."""
        if scenario in (PEAK, EASE):
            return WORKLOAD.row(scenario=scenario)
        return WORKLOAD.row(
            model_name=self._graph.name,
            model_sha256=self._model_sha256,
            parameters=self._graph.num_parameters(),
            data_fingerprint=self._dataset.fingerprint,
            split=self._dataset.split,
            samples=samples,
            batch_size=batch_size,
            scenario=scenario,
            rate=rate,
            macs=self._macs,
            data_name=self._dataset.name,
            data_rows=self._dataset.num_rows,
        )

    @cached_property
    def _model_sha256(self) -> str:
        return model_sha256(self._graph)

    @cached_property
    def _macs(self) -> int:
        return sum(layer.macs for layer in layers(self._graph))


def model_sha256(graph: Graph) -> str:
    """Of what a network computes: its operators, and names, shapes and bytes of its weights.

    Not of the file it came from: written anew by another tool, it is the same network.
    """
    digest = hashlib.sha256()
    specs = [[spec.name, spec.shape, spec.dtype] for spec in (*graph.inputs, *graph.outputs)]
    nodes = [[node.op_type, node.inputs, node.outputs, node.attributes] for node in graph.nodes]
    digest.update(json.dumps([specs, nodes], default=str, sort_keys=True).encode())
    for name, weight in sorted(graph.weights.items()):
        digest.update(json.dumps([name, weight.shape, weight.dtype.str]).encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()


def _now() -> str:
    return time.strftime(_ISO)
