"""The columnar engine behind the same call as the others: a graph and its inputs as arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.data.arrow_source import from_batches
from columnar_nn.errors import InvalidDataError
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph
from columnar_nn.plan.builder import PlanBuilder


def run_columnar(
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
    fusion: str = "layer",
    algorithm: str = "direct",
) -> list[np.ndarray]:
    """The graph's outputs, in their order; each input is a column, the first axis its rows.

    Raises InvalidDataError for inputs that are no columns of one batch.
    """
    shapes = [array.shape for array in inputs.values()]
    if len({shape[0] for shape in shapes}) > 1 or min(map(len, shapes), default=1) < 1:
        raise InvalidDataError(f"arrays of shapes {shapes} are no tensor columns of one batch")
    columns = [tensor_column.from_numpy(array) for array in inputs.values()]
    batch = pa.RecordBatch.from_arrays(columns, names=list(inputs))
    outputs = network_outputs(graph, {name: name for name in inputs})
    source = from_batches(batch.schema, [batch])
    plan = PlanBuilder().table_scan(source).project(outputs).plan()
    executable = prepare(plan, 1, fusion, algorithm)
    try:
        batches = list(executable.run({"0": iter([batch])}))
    finally:
        executable.close()
    return [
        np.concatenate([_array(b.column(spec.name)) for b in batches]) for spec in graph.outputs
    ]


def _array(column: pa.Array) -> np.ndarray:
    """A column of tensors, or of one integer a row."""
    if column.type == pa.int64():
        return np.asarray(column)
    return tensor_column.to_numpy(column)
