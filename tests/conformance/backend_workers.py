"""Backends in worker processes, one for each backend and number of threads, kept for all tests.

The frameworks' thread pools fight in one process, and some engines abort when theirs ends.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.workers.inputs import outputs_of
from bench.workers.process import WorkerError, WorkerProcess
from columnar_nn.data import tensor_column
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph

TIMEOUT_S = 240.0

Inputs = np.ndarray | Mapping[str, np.ndarray]
"""The images of a network of one input, or what each of several is given, by its name."""


class BackendWorkers:
    """The running workers; `engine` is written backend:configuration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: dict[tuple[str, int], WorkerProcess] = {}
        self._num_files = 0

    def build(self, engine: str, graph: Graph, batch_size: int, threads: int = 1) -> None:
        """Builds the graph, in place of the one before; raises WorkerError."""
        backend, _, configuration = engine.partition(":")
        if configuration == "original":
            file = self._new_path()
            onnx_io.save(graph, file)
            graph = replace(graph, file=str(file))
        path = self._new_path()
        path.write_bytes(pickle.dumps(graph))
        self._request(
            (backend, threads),
            "build",
            graph=str(path),
            configuration=configuration,
            threads=threads,
            batch_size=batch_size,
            algorithm="auto",
        )

    def run(
        self, engine: str, images: Inputs, batch_size: int, threads: int = 1
    ) -> dict[str, np.ndarray]:
        """The outputs by name of what was built last, for inputs given in batches."""
        images_path, outputs_path = self._new_path(), self._new_path()
        inputs = {"image": images} if isinstance(images, np.ndarray) else images
        table = pa.table({name: tensor_column.from_numpy(rows) for name, rows in inputs.items()})
        with pa.ipc.new_file(str(images_path), table.schema) as writer:
            writer.write_table(table)
        self._request(
            (engine.partition(":")[0], threads),
            "run",
            images=str(images_path),
            samples=table.num_rows,
            batch_size=batch_size,
            outputs=str(outputs_path),
        )
        return outputs_of(outputs_path)

    def infer(
        self, engine: str, graph: Graph, images: Inputs, batch_size: int, threads: int = 1
    ) -> dict[str, np.ndarray]:
        """Builds the graph and runs it."""
        self.build(engine, graph, batch_size, threads)
        return self.run(engine, images, batch_size, threads)

    def describe(self, engine: str, threads: int) -> dict[str, Any]:
        """What the backend says that it ran."""
        return self._request((engine.partition(":")[0], threads), "describe")

    def close_backend(self, engine: str) -> None:
        """Has the backend release what it holds; its process stays."""
        self._request((engine.partition(":")[0], 1), "close")

    def close(self) -> None:
        """Ends every process."""
        for worker in self._workers.values():
            worker.close()

    def _request(self, process: tuple[str, int], command: str, **arguments: Any) -> Any:
        """Sends a command to the process of a backend and number of threads."""
        try:
            return self._worker(*process).request(command, TIMEOUT_S, **arguments)
        except WorkerError as error:
            if error.fatal:
                self._workers.pop(process).kill()
            raise

    def _worker(self, backend: str, threads: int) -> WorkerProcess:
        if (backend, threads) not in self._workers:
            available = sorted(os.sched_getaffinity(0))
            cpus = [available[index % len(available)] for index in range(threads)]
            folder = self._new_path()
            folder.mkdir()
            self._workers[backend, threads] = WorkerProcess(folder, cpus)
            self._request((backend, threads), "import_framework", backend=backend)
        return self._workers[backend, threads]

    def _new_path(self) -> Path:
        self._num_files += 1
        return self._folder / str(self._num_files)
