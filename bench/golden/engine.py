"""A backend in a worker process, fed with streams of images of any length in bounded memory."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters import registry
from bench.golden import tensor_stream
from bench.machine import cpus
from bench.workers.process import WorkerError, WorkerProcess
from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph
from columnar_nn.model.shapes import infer_shapes

TURN_BYTES = 64 << 20
"""A turn takes as many batches as fit into this with their outputs, and at least one."""

__all__ = ["Engine", "EngineOptions", "WorkerError", "parse_backend"]


@dataclass(frozen=True)
class EngineOptions:
    """A backend in one configuration, and how it is run; `timeout` in seconds a command.

    A network that is tied to a batch size is run in batches of that, not of `batch_size`.
    """

    backend: str
    configuration: str
    algorithm: str
    threads: int | None
    batch_size: int
    timeout: float

    @property
    def label(self) -> str:
        return f"{self.backend}:{self.configuration}"


def parse_backend(text: str) -> tuple[str, str]:
    """Backend and configuration meant by NAME[:CONFIGURATION]; raises UsageError if unknown.

    NAME alone means its default configuration, or its first if none is called so.
    """
    backend, _, configuration = text.partition(":")
    try:
        known = registry.load(backend).configurations
    except ImportError as error:
        raise UsageError(f"cannot import backend {backend!r}: {error}") from None
    if configuration and configuration not in known:
        raise UsageError(
            f"{backend} has no configuration {configuration!r}: choose from {', '.join(known)}"
        )
    usual = [name for name, details in known.items() if details.role == "default"]
    return backend, configuration or [*usual, *known][0]


class Engine:
    """One worker that builds graphs and runs them; every method may raise WorkerError.

    `seconds` adds up what the worker itself measured: start of its process, import, build, run.
    """

    def __init__(self, options: EngineOptions, folder: Path) -> None:
        """`folder` must be an existing empty folder for the files that cross over."""
        self._options = options
        self._folder = folder
        self._cpus = cpus.choose(options.threads)
        self._turns = 0
        self._output_bytes = 0
        self._batch_size = options.batch_size
        self.seconds = dict.fromkeys(("start", "import", "build", "run"), 0.0)
        working_folder = folder / "worker"
        working_folder.mkdir()
        self._worker = WorkerProcess(working_folder, self._cpus)
        self._imported = self._ended = False

    def build(self, graph: Graph) -> None:
        """Builds the backend for `graph`, in place of an earlier one."""
        if self._imported:
            self._ask("close")
        else:
            reply = self._ask("import_framework", backend=self._options.backend)
            self.seconds["start"] += reply["process_seconds"]
            self.seconds["import"] += reply["seconds"]
            self._imported = True
        self._batch_size = graph.batch or self._options.batch_size
        path = self._folder / "graph.pickle"
        path.write_bytes(pickle.dumps(graph))
        reply = self._ask(
            "build",
            graph=str(path),
            configuration=self._options.configuration,
            threads=len(self._cpus),
            batch_size=self._batch_size,
            algorithm=self._options.algorithm,
        )
        self.seconds["build"] += reply["seconds"]
        shapes = infer_shapes(graph)
        self._output_bytes = sum(
            4 * int(np.prod([size or 1 for size in shapes[spec.name]])) for spec in graph.outputs
        )

    def infer(
        self, batches: Iterable[pa.RecordBatch]
    ) -> Generator[dict[str, np.ndarray], None, None]:
        """The graph's outputs as arrays [rows, ...] by name, in batches, for all images."""
        for turn in self._take_turns(batches):
            self._turns += 1
            images = self._folder / f"images-{self._turns}.arrow"
            outputs = self._folder / f"outputs-{self._turns}.arrow"
            with pa.ipc.new_file(str(images), turn[0].schema) as writer:
                for batch in turn:
                    writer.write_batch(batch)
            reply = self._ask(
                "run",
                images=str(images),
                samples=sum(batch.num_rows for batch in turn),
                batch_size=self._batch_size,
                outputs=str(outputs),
            )
            self.seconds["run"] += sum(reply["times"])
            images.unlink()
            yield from tensor_stream.read(outputs)
            outputs.unlink()

    def describe(self) -> dict[str, Any]:
        """What the backend says it ran: versions, precision, layout, algorithm, notes."""
        return self._ask("describe")

    def _take_turns(self, batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
        turn: list[pa.RecordBatch] = []
        size = 0
        for batch in batches:
            batch_bytes = batch.nbytes + batch.num_rows * self._output_bytes
            if turn and size + batch_bytes > TURN_BYTES:
                yield turn
                turn, size = [], 0
            turn.append(batch)
            size += batch_bytes
        if turn:
            yield turn

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        try:
            return self._worker.request(command, self._options.timeout, **arguments)
        except WorkerError as error:
            self._ended = error.fatal
            raise

    def close(self) -> None:
        """Ends the worker; harmless if it has ended already."""
        if not self._ended:
            self._worker.close()
