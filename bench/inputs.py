"""The files that workers share: the network, the images, and the rows with known outputs."""

from __future__ import annotations

import math
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.data.dataset import Dataset, write_ipc
from bench.parity import Accumulator, Parity, Tolerance
from bench.status import worst
from columnar_nn import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph

RELATIVE_ATOL = 5e-5
"""Absolute tolerance as a share of the largest |reference|: ten times the error of Winograd's
F(6x6) in float32, a four-hundredth of bfloat16's."""

RTOL = 1e-4

_ID_AND_LABEL_BYTES = 9


@dataclass(frozen=True)
class Inputs:
    """Paths of the pickled graph and of the images as an Arrow file, and the images' labels.

    `first_batch` is how many images the network's first run takes: one, if it takes any number.
    """

    graph: Path
    images: Path
    labels: np.ndarray
    first_batch: int


def prepare(
    folder: Path, graph: Graph, dataset: Dataset, num_samples: int, batch_size: int
) -> Inputs:
    """Writes the files that every worker reads into `folder`.

    Raises UsageError if there is not enough room for them.
    """
    needed = num_samples * (math.prod(dataset.image_shape) + _ID_AND_LABEL_BYTES)
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
    labels = read(images).column("label").to_numpy()
    return Inputs(inputs_graph, images, labels, graph.batch or 1)


def read(path: Path) -> pa.Table:
    """An Arrow file, memory-mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def write_rows(source: Path, rows: np.ndarray, path: Path, batch_size: int) -> None:
    """Copies some rows of an Arrow file into another."""
    table = read(source)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        for start in range(0, len(rows), batch_size):
            writer.write_table(table.take(pa.array(rows[start : start + batch_size])))


@dataclass(frozen=True)
class Truth:
    """The reference's outputs, by name, for some rows of the images."""

    rows: np.ndarray
    outputs: dict[str, np.ndarray]
    tolerances: dict[str, Tolerance]

    @classmethod
    def load(cls, rows: np.ndarray, path: Path) -> Truth:
        """Reads the outputs that the reference wrote for `rows`, and sets the tolerances."""
        outputs = outputs_of(path)
        return cls(
            rows,
            outputs,
            {
                name: Tolerance(RELATIVE_ATOL * _largest_magnitude(array), RTOL)
                for name, array in outputs.items()
            },
        )

    def compare(self, outputs: dict[str, np.ndarray]) -> Parity:
        """Parity of a cell's outputs on the rows that have a reference.

        With several outputs in the graph, that of the worst one.
        """
        results = []
        for name, reference in self.outputs.items():
            accumulator = Accumulator(self.tolerances[name])
            output = outputs[name]
            known = self.rows < len(output)
            accumulator.add(output[self.rows[known]], reference[known])
            results.append(accumulator.result())
        status = worst(result.status for result in results)
        return max((r for r in results if r.status == status), key=lambda result: result.max_rel)


def outputs_of(path: Path) -> dict[str, np.ndarray]:
    """The columns of an Arrow file of outputs as arrays [rows, ...]."""
    table = read(path)
    return {
        name: tensor_column.to_numpy(table.column(name).combine_chunks())
        for name in table.column_names
    }


def accuracy(outputs: dict[str, np.ndarray], labels: np.ndarray) -> float | None:
    """Share of rows whose largest logit is at the label; None unless there is one such output."""
    if len(outputs) != 1:
        return None
    (logits,) = outputs.values()
    if logits.ndim != 2 or logits.shape[1] <= int(labels.max(initial=0)):
        return None
    return float((logits.argmax(axis=1) == labels[: len(logits)]).mean())


def _largest_magnitude(array: np.ndarray) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0.0))
