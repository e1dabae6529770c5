"""DuckDB that feeds a framework and takes its classes back: two queries around a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import pyarrow as pa

from adapters.base import Backend, Configuration, Description, Stopwatch
from adapters.onnxruntime_backend import OnnxRuntimeBackend
from adapters.pytorch_backend import PyTorchBackend
from adapters.queries.duckdb import Database
from adapters.queries.engine import CONVERSION, NETWORK, RELATIONAL, SCAN, QueryEngine
from adapters.queries.query import PREDICTIONS
from columnar_nn.data import image_column, tensor_column
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph


class FeedingDuckDb(QueryEngine):
    """Rows with images come from DuckDB as Arrow, are run in batches, and go back with classes.

    The framework is run by its adapter, in a configuration that this has; images and classes are
    handed over without a copy where memory allows.
    """

    backend: ClassVar[type[Backend]]

    @classmethod
    def import_framework(cls) -> None:
        """Imports DuckDB and the framework."""
        super().import_framework()
        cls.backend.import_framework()

    def _build(self) -> None:
        self._database = Database(self.tables, self.settings.threads)
        self._backends: dict[str, Backend] = {}
        for network in self.query.networks:
            graph = zoo.resolve(network)
            self._backends[network] = self.backend(graph, self.settings)

    def run(self, stopwatch: Stopwatch) -> pa.Table:
        """As DuckDB tells it of its operators, and the adapter of input, compute and output."""
        chosen = self._database.rows(self.query.chosen)
        self._tell(stopwatch)
        images = chosen.select(["image"])
        predictions = chosen.drop_columns(["image"])
        for network, backend in self._backends.items():
            classes = self._classes(backend, images, stopwatch)
            with stopwatch.phase(CONVERSION):
                predictions = predictions.append_column(network, classes)
        with stopwatch.phase(CONVERSION):
            self._database.connection.register(PREDICTIONS, predictions)
        rows = self._database.rows(self.query.answer)
        self._tell(stopwatch)
        return rows

    def _tell(self, stopwatch: Stopwatch) -> None:
        for operator in self._database.operators():
            part = RELATIONAL
            if operator.kind == "TABLE_SCAN":
                part = SCAN if operator.function == "READ_PARQUET" else CONVERSION
            elif operator.kind == "RESULT_COLLECTOR":
                part = CONVERSION
            stopwatch.seconds[part] += operator.seconds / self.settings.threads

    def _classes(self, backend: Backend, images: pa.Table, stopwatch: Stopwatch) -> pa.ChunkedArray:
        """What a network takes each image for."""
        inside = Stopwatch()
        found = []
        batches = _tensors(images, backend.graph, self.settings.batch_size, stopwatch)
        for outputs in backend.infer(batches, inside):
            with stopwatch.phase(NETWORK):
                logits = tensor_column.to_numpy(outputs.column(0))
                found.append(pa.array(np.argmax(logits.reshape(len(logits), -1), axis=1)))
        stopwatch.seconds[NETWORK] += inside.seconds["compute"]
        stopwatch.seconds[CONVERSION] += inside.seconds["input"] + inside.seconds["output"]
        return pa.chunked_array(found, pa.int64())

    def describe(self) -> Description:
        """The framework's own description, and DuckDB's version."""
        told = [backend.describe() for backend in self._backends.values()]
        first = told[0]
        notes = [note for one in told for note in one.notes]
        return Description(
            versions={"duckdb": self._database.version, **first.versions},
            precision=first.precision,
            layout=first.layout,
            algorithm="; ".join(dict.fromkeys(one.algorithm for one in told)),
            threads=first.threads,
            denormals=first.denormals,
            notes=tuple(dict.fromkeys(notes)),
        )

    def close(self) -> None:
        """Releases the networks, and ends the connection."""
        for backend in self._backends.values():
            backend.close()
        self._database.close()


def _tensors(
    images: pa.Table, graph: Graph, batch_size: int, stopwatch: Stopwatch
) -> Iterator[pa.RecordBatch]:
    """Batches of a column of bytes as tensors."""
    shape = tuple(int(size or 1) for size in graph.inputs[0].shape[1:])
    for batch in images.to_batches(max_chunksize=batch_size):
        with stopwatch.phase(CONVERSION):
            made = image_column.images(batch.column("image"), "uint8", shape)
            tensors = pa.record_batch([made.tensors], ["image"])
        yield tensors


def _fed(known: Mapping[str, Configuration]) -> dict[str, Configuration]:
    """A framework's configurations, none on a GPU, and what DuckDB does beside."""
    before = "DuckDB chooses the rows, and groups and orders them by class; between, in batches"
    return {
        name: Configuration(f"{before}: {one.description}", one.role)
        for name, one in known.items()
        if not one.gpu and name != "original"
    }


class FeedingOnnxRuntime(FeedingDuckDb):
    """With ONNX Runtime."""

    name = "duckdb+onnxruntime"
    backend = OnnxRuntimeBackend
    packages: ClassVar = {"duckdb": "duckdb"}
    configurations: ClassVar = _fed(OnnxRuntimeBackend.configurations)


class FeedingPyTorch(FeedingDuckDb):
    """With PyTorch."""

    name = "duckdb+pytorch"
    backend = PyTorchBackend
    packages: ClassVar = {"duckdb": "duckdb"}
    configurations: ClassVar = _fed(PyTorchBackend.configurations)
