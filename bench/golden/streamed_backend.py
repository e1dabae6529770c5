"""A backend in a worker process, fed with streams of images of any length in bounded memory."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.golden import tensor_stream
from bench.workers.held import HeldWorker
from bench.workers.options import Options
from bench.workers.selection import Selection
from columnar_nn.model.graph import Graph
from columnar_nn.model.shapes import infer_shapes

TURN_BYTES = 64 << 20
"""A turn takes as many batches as fit into this with their outputs, and at least one."""


class StreamedBackend:
    """One worker that builds graphs and runs them; every method but `close` may raise WorkerError.

    `seconds` adds up what the worker itself measured: start of its process, import, build, run.
    """

    def __init__(self, selection: Selection, options: Options, folder: Path) -> None:
        """`folder` must be an existing empty folder for the files that cross over."""
        self._selection = selection
        self._options = options
        self._folder = folder
        self._turns = 0
        self._output_bytes = 0
        self._batch_size = options.batch_size
        self.seconds = dict.fromkeys(("start", "import", "build", "run"), 0.0)
        self._worker = HeldWorker(options, folder)

    def build(self, graph: Graph) -> None:
        """Builds the backend for `graph`, in place of an earlier one.

        In a new worker, if the last one has crashed or did not answer.
        """
        if self._worker.lost:
            self._worker = HeldWorker(self._options, self._folder)
        self._batch_size = graph.batch or self._options.batch_size
        path = self._folder / "graph.pickle"
        path.write_bytes(pickle.dumps(graph))
        parts = self._worker.build(self._selection, path, self._batch_size)
        for name, part in (("start", "process_s"), ("import", "import_s"), ("build", "build_s")):
            self.seconds[name] += parts.get(part, 0.0)
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
            try:
                reply = self._worker.ask(
                    "run",
                    images=str(images),
                    samples=sum(batch.num_rows for batch in turn),
                    batch_size=self._batch_size,
                    outputs=str(outputs),
                )
            finally:
                images.unlink()
            self.seconds["run"] += sum(reply["times"])
            yield from tensor_stream.read(outputs)
            outputs.unlink()

    def describe(self) -> dict[str, Any]:
        """What the backend says it ran: versions, precision, layout, algorithm, notes."""
        return self._worker.ask("describe")

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

    def close(self) -> None:
        """Ends the worker; harmless if it has ended already."""
        self._worker.finish()
