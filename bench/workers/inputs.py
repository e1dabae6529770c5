"""The files that workers share: the network and the images; and what they write, their outputs."""

from __future__ import annotations

import contextlib
import pickle
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters import registry
from bench.data.dataset import Dataset, write_ipc
from columnar_nn.data import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph

_ID_AND_LABEL_BYTES = 9


@dataclass(frozen=True)
class Inputs:
    """Paths of the pickled graph and of the images as an Arrow file, and the images' labels.

    `labels` is None of images without. `first_batch` is how many images the network's first run
    takes: one, if it takes any number.
    """

    graph: Path
    images: Path
    num_images: int
    labels: np.ndarray | None
    first_batch: int
    _onnx: dict[str, Path | None] = field(default_factory=dict, init=False, repr=False)

    def onnx_of(self, backend: str) -> Path | None:
        """The network as the ONNX file that a backend's framework reads, written when first asked.

        None if the backend is given the graph, or the file cannot be written: what its worker then
        does itself, or fails at, is its own.
        """
        if backend not in self._onnx:
            self._onnx[backend] = self._write_onnx(backend)
        return self._onnx[backend]

    def _write_onnx(self, backend: str) -> Path | None:
        with self.graph.open("rb") as file, contextlib.suppress(Exception):
            content = registry.load(backend).onnx_of(pickle.load(file))
            if content is not None:
                path = self.graph.with_name(f"{backend}.onnx")
                path.write_bytes(content)
                return path
        return None


def prepare(
    folder: Path, graph: Graph, dataset: Dataset, num_samples: int, batch_size: int
) -> Inputs:
    """Writes the files that every worker reads into `folder`.

    Raises UsageError if there is not enough room for them.
    """
    needed = num_samples * (dataset.image_bytes + _ID_AND_LABEL_BYTES)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"{num_samples:,} images take {needed / 1e9:,.1f} GB, and {folder.parent} has "
            f"{free / 1e9:,.1f} GB left: ask for fewer --samples, or set TMPDIR to a larger folder"
        )
    inputs_graph = folder / "graph.pickle"
    inputs_graph.write_bytes(pickle.dumps(graph))
    images = folder / "images.arrow"
    write_ipc(dataset, num_samples, batch_size, images)
    labels = read(images).column("label").to_numpy() if dataset.classes else None
    return Inputs(inputs_graph, images, num_samples, labels, graph.batch or 1)


def read(path: Path) -> pa.Table:
    """An Arrow file, memory-mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def outputs_of(path: Path) -> dict[str, np.ndarray]:
    """The columns of an Arrow file of outputs as arrays [rows, ...]."""
    table = read(path)
    return {
        name: tensor_column.to_numpy(table.column(name).combine_chunks())
        for name in table.column_names
    }
