"""One operator of a network as a network of its own, and what feeds it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec


def activations(node: Node, graph: Graph) -> tuple[str, ...]:
    """The inputs of a node that depend on the image, each once, in order."""
    names = (name for name in node.inputs if name and name not in graph.weights)
    return tuple(dict.fromkeys(names))


def isolate(node: Node, graph: Graph, shapes: Mapping[str, Shape]) -> Graph:
    """A network of `node` alone, its tensors named as in `graph`; each activation is an input."""
    weights = {name: graph.weights[name] for name in node.inputs if name in graph.weights}
    inputs = tuple(TensorSpec(name, shapes[name]) for name in activations(node, graph))
    outputs = (TensorSpec(node.outputs[0], shapes[node.outputs[0]]),)
    return Graph(node.name, (node,), inputs, outputs, weights)


def feed(alone: Graph, batches: Iterable[Mapping[str, np.ndarray]]) -> Iterator[pa.RecordBatch]:
    """Batches of a node's activations, by name, in the columns that its network reads."""
    for batch in batches:
        columns = [tensor_column.from_numpy(batch[name]) for name in alone.columns]
        yield pa.RecordBatch.from_arrays(columns, names=list(alone.columns.values()))
