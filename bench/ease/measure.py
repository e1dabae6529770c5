"""Measures it, backend by backend: each part in worker processes of their own."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters import registry
from adapters.base import Backend
from bench.ease import adapter, examples, installation
from bench.ease.ease import Ease
from bench.text.progress import Progress
from bench.verdict.status import PASSED
from bench.workers.held import HeldWorker
from bench.workers.inputs import Inputs
from bench.workers.options import Options
from bench.workers.process import WorkerError
from bench.workers.selection import Selection
from columnar_nn.data import tensor_column
from columnar_nn.model.graph import Graph

STARTS = 3

_IMAGES = 2


def measure(
    selections: Sequence[Selection], data: Inputs, options: Options, folder: Path, show: Progress
) -> Iterator[Ease]:
    """Of every selection in turn; `data` is the network that starts are timed with."""
    for number, selection in enumerate(selections):
        show(number, len(selections), f"trying {selection.label}")
        yield _Trial(selection, options, folder).ease(data)


class _Trial:
    """One backend while it is tried."""

    def __init__(self, selection: Selection, options: Options, folder: Path) -> None:
        self._selection = selection
        self._options = options
        self._folder = folder

    def ease(self, data: Inputs) -> Ease:
        backend = registry.load(self._selection.backend)
        try:
            starts = tuple(self._start(data) for _ in range(STARTS))
        except WorkerError as error:
            return self._ease(backend, error.status, error.reason)
        return self._ease(
            backend,
            PASSED,
            "",
            starts=starts,
            unimplemented=self._unimplemented(),
            on_wrong_network=self._on_wrong_network(),
        )

    def _ease(self, backend: type[Backend], status: str, reason: str, **measured: object) -> Ease:
        return Ease(
            self._selection,
            status,
            reason,
            packages=installation.packages(backend.extra),
            adapter_lines=adapter.lines(backend),
            settings=backend.fair_settings,
            **measured,  # type: ignore[arg-type]
        )

    def _start(self, data: Inputs) -> Mapping[str, float]:
        with self._worker() as worker:
            parts = worker.start(self._selection, data)
        return {name: seconds for name, seconds in parts.items() if name.endswith("_s")}

    def _unimplemented(self) -> Mapping[str, str]:
        """The operators that it does not run, in a process that is replaced if one ends it."""
        found: dict[str, str] = {}
        worker = self._worker()
        for graph in examples.operator_networks():
            try:
                self._run(worker, graph)
            except WorkerError as error:
                found[graph.name] = error.reason
                if error.fatal:
                    worker.kill()
                    worker = self._worker()
        worker.finish()
        return found

    def _on_wrong_network(self) -> str:
        with self._worker() as worker:
            try:
                self._run(worker, examples.wrong_network())
            except WorkerError as error:
                return error.reason
        return ""

    def _run(self, worker: HeldWorker, graph: Graph) -> None:
        network, images = self._folder / "example.pickle", self._folder / f"{graph.name}.arrow"
        network.write_bytes(pickle.dumps(graph))
        shape = (_IMAGES, *(size or 1 for size in graph.inputs[0].shape[1:]))
        values = np.random.default_rng(0).uniform(0.1, 1, shape)
        column = tensor_column.from_numpy(values.astype(np.float32))
        table = pa.table({examples.INPUT: column})
        with pa.ipc.new_file(images, table.schema) as writer:
            writer.write_table(table)
        worker.build(self._selection, network, _IMAGES)
        worker.ask("run", images=str(images), samples=_IMAGES, batch_size=_IMAGES)

    def _worker(self) -> HeldWorker:
        return HeldWorker(self._options, self._folder)
