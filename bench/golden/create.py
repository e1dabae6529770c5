"""A bundle made by the float64 reference, in bounded memory; the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from adapters.base import input_arrays
from bench.files.atomic_folder import new_folder
from bench.golden import manifest as manifests
from bench.golden import noise_file, tap_selection
from bench.golden.bundle import EXPECTED_COLUMN, MANIFEST, entry_of
from bench.golden.manifest import (
    ColumnEntry,
    Creation,
    DataEntry,
    Manifest,
    OperatorEntry,
    TensorEntry,
)
from bench.machine import environment
from bench.model import fixed_batch
from bench.text.progress import Progress, silent
from bench.verdict import tolerance
from bench.verdict.noise import DIMMED, NoiseAccumulator
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph, TensorSpec
from columnar_nn.model.shapes import infer_shapes
from reference.evaluate import evaluate

MODEL_FILE = "model.onnx"
IMAGES_FILE = "inputs.arrows"
NOISE_FILE = "noise.arrows"
BATCH_BYTES = 64 << 20
"""The rows of a batch are so many that all tensors of the network fit into this, once."""

MAX_ROWS_PER_BATCH = 256

MAKERS = ("cnn-bench", "numpy", "onnx", "pyarrow")
"""The packages whose versions can show in a bundle's bytes."""


class ImageSource(Protocol):
    """Where images come from: bench.data.dataset.Dataset is one.

    `batches` yields RecordBatches of `batch_size` rows with the network's `Graph.columns`, the last
    smaller, from row number `start` on.
    """

    @property
    def fingerprint(self) -> str: ...
    def batches(
        self, num_samples: int, batch_size: int, start: int
    ) -> Iterable[pa.RecordBatch]: ...


@dataclass(frozen=True)
class Created:
    """A new bundle's manifest; of its `rows` images `telling` say something
    (bench/verdict/noise.py)."""

    manifest: Manifest
    telling: int


def create(
    destination: Path,
    graph: Graph,
    source: ImageSource,
    creation: Creation,
    progress: Progress = silent,
) -> Created:
    """Writes a bundle of `creation.count` images and the tensors its taps mean to a new folder.

    Beside the float64 reference, every tensor is evaluated in float32, which is its noise, of the
    images and of dimmed ones. Raises UsageError if the folder exists, a tap is unknown or the
    network is tied to batches that do not make up the count, InvalidDataError if there are fewer
    images.
    """
    fixed_batch.batch_size(graph, creation.count, [creation.count], "--count")
    with new_folder(destination) as folder:
        (folder / "tensors").mkdir()
        onnx_io.save(graph, folder / MODEL_FILE)
        # The network as every reader of the bundle will see it.
        graph = onnx_io.load(folder / MODEL_FILE)
        taps = tap_selection.select(graph, creation.taps)
        rows = rows_per_batch(graph)
        streams, data = _write_tensors(
            folder, graph, taps, source, creation=creation, rows=rows, progress=progress
        )
        entries = tuple(_entry(graph, *pair) for pair in zip(taps, streams, strict=True))
        measured = zip(taps, streams, strict=True)
        noises = {spec.name: stream.noise.result() for spec, stream in measured}
        noise_file.write(folder / NOISE_FILE, noises)
        files = [MODEL_FILE, IMAGES_FILE, NOISE_FILE, *(stream.file for stream in streams)]
        manifest = Manifest(
            format=manifests.FORMAT,
            format_version=manifests.FORMAT_VERSION,
            model_name=graph.name,
            model_file=MODEL_FILE,
            creation=creation,
            rule=manifests.RULES[manifests.FORMAT_VERSION],
            rows=creation.count,
            rows_per_batch=rows,
            data=data,
            noise_file=NOISE_FILE,
            tensors=entries,
            operators=tuple(
                OperatorEntry(node.name, node.op_type, node.inputs, node.outputs)
                for node in graph.nodes
            ),
            versions={
                package: version
                for package, version in environment.versions().items()
                if package in MAKERS
            },
            files={file: entry_of(folder / file) for file in files},
        )
        (folder / MANIFEST).write_text(manifests.dumps(manifest), encoding="utf-8")
    outputs = [entry.name for entry in entries if entry.is_output] or [entries[-1].name]
    telling = np.any([noises[name].telling for name in outputs], axis=0)
    return Created(manifest, int(np.count_nonzero(telling)))


def non_finite_weights(graph: Graph) -> list[str]:
    """The names of the weights that hold NaN or infinity, which spread to the tensors."""
    return [name for name, weight in graph.weights.items() if not np.isfinite(weight).all()]


def rows_per_batch(graph: Graph) -> int:
    """How many images' tensors, all of them in float32, fit into BATCH_BYTES.

    Of a network tied to a batch size that.
    """
    if graph.batch is not None:
        return graph.batch
    bytes_an_image = sum(
        4 * int(np.prod([size or 1 for size in shape]))
        for name, shape in infer_shapes(graph).items()
        if name not in graph.weights
    )
    return max(1, min(MAX_ROWS_PER_BATCH, BATCH_BYTES // bytes_an_image))


class _TensorStream:
    """An Arrow IPC stream of one expected tensor, with the figures its tolerance needs."""

    def __init__(self, folder: Path, file: str, shape: Sequence[int]) -> None:
        self.file = file
        self.shape = tuple(shape)
        self.largest = 0.0
        self.non_finite = 0
        self.noise = NoiseAccumulator()
        self._schema = pa.schema([(EXPECTED_COLUMN, tensor_column.tensor_type("float32", shape))])
        self._writer = pa.ipc.new_stream(str(folder / file), self._schema)

    def write(self, array: np.ndarray, single: np.ndarray, dimmed: np.ndarray) -> None:
        """Writes rows of the reference, and measures their noise (see NoiseAccumulator.add)."""
        self.noise.add(array, single, dimmed)
        finite = np.isfinite(array)
        self.largest = max(self.largest, float(np.abs(array).max(where=finite, initial=0.0)))
        self.non_finite += int(finite.size - np.count_nonzero(finite))
        self._writer.write_batch(
            pa.RecordBatch.from_arrays([tensor_column.from_numpy(array)], schema=self._schema)
        )

    def close(self) -> None:
        self._writer.close()


def _write_tensors(
    folder: Path,
    graph: Graph,
    taps: Sequence[TensorSpec],
    source: ImageSource,
    *,
    creation: Creation,
    rows: int,
    progress: Progress,
) -> tuple[list[_TensorStream], DataEntry]:
    names = [spec.name for spec in taps]
    pruned = graph.with_outputs(taps)
    with ExitStack() as stack:
        streams = [
            _TensorStream(folder, _file_name(index, spec), [size or 0 for size in spec.shape[1:]])
            for index, spec in enumerate(taps)
        ]
        for stream in streams:
            stack.callback(stream.close)
        # One thread: how a sum is split over threads could show in its last bit.
        stack.enter_context(threadpool_limits(1))
        images: pa.RecordBatchStreamWriter | None = None
        written = 0
        for batch in source.batches(creation.count, rows, creation.start):
            if images is None:
                images = stack.enter_context(
                    pa.ipc.new_stream(str(folder / IMAGES_FILE), batch.schema)
                )
            images.write_batch(batch)
            progress(written, creation.count, "images through the reference")
            written += batch.num_rows
            inputs = _inputs(graph, batch)
            dimmed = {name: images * np.float32(DIMMED) for name, images in inputs.items()}
            evaluations = [
                evaluate(pruned.nodes, pruned.weights, images, names, calculation=precision)
                for images, precision in (
                    (inputs, np.float64),
                    (inputs, np.float32),
                    (dimmed, np.float32),
                )
            ]
            for stream, name in zip(streams, names, strict=True):
                stream.write(*(evaluation[name] for evaluation in evaluations))
        if images is None or written != creation.count:
            raise InvalidDataError(
                f"{creation.data} gave {written} images, {creation.count} were asked for"
            )
    columns = []
    for name in graph.columns.values():
        values = tensor_column.to_numpy(batch.column(name))
        columns.append(ColumnEntry(name, values.shape[1:], str(values.dtype)))
    return streams, DataEntry(creation.data, source.fingerprint, IMAGES_FILE, tuple(columns))


def _inputs(graph: Graph, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    """The network's inputs by name; raises UsageError if the images do not fit it."""
    arrays = input_arrays(batch, graph)
    wanted = [spec.shape[1:] for spec in graph.inputs]
    found = [array.shape[1:] for array in arrays]
    if wanted != found:
        raise UsageError(
            f"{graph.name} takes {' and '.join(map(str, wanted))}, the images are "
            f"{' and '.join(map(str, found))}: choose another model or other data"
        )
    return {spec.name: array for spec, array in zip(graph.inputs, arrays, strict=True)}


def _entry(graph: Graph, spec: TensorSpec, stream: _TensorStream) -> TensorEntry:
    node = graph.producer(spec.name)
    assert node is not None  # only tensors that nodes make are tapped
    depth = tolerance.depths(graph)[spec.name]
    allowed = tolerance.default(stream.largest, depth)
    return TensorEntry(
        name=spec.name,
        operator=node.name,
        op_type=node.op_type,
        shape=stream.shape,
        dtype="float32",
        is_output=spec.name in {output.name for output in graph.outputs},
        file=stream.file,
        rtol=allowed.rtol,
        atol=allowed.atol,
        largest=stream.largest,
        non_finite=stream.non_finite,
        depth=depth,
    )


def _file_name(index: int, spec: TensorSpec) -> str:
    """A readable name of plain characters; the number keeps it unique and in graph order."""
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", spec.name).strip("-.")[:60]
    return f"tensors/{index:03d}-{readable}.arrows"
