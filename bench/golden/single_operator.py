"""One operator of a network as a network of its own, and the images that feed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from columnar_nn import tensor_column
from columnar_nn.errors import InvalidModelError
from columnar_nn.graph import Graph, Node, Shape, TensorSpec

INPUT = "image"
"""A backend takes one column of images; several tensors are stacked into it along axis 1."""


def activations(node: Node, graph: Graph) -> tuple[str, ...]:
    """The inputs of a node that depend on the image, each once, in order."""
    names = (name for name in node.inputs if name and name not in graph.weights)
    return tuple(dict.fromkeys(names))


def isolate(node: Node, graph: Graph, shapes: Mapping[str, Shape]) -> Graph:
    """A network of `node` alone, its tensors named as in `graph`.

    A node with one activation reads it as the network's input. One with several (Add, Concat)
    gets them as Slices, along axis 1, of one input that holds them all; raises
    InvalidModelError if their shapes differ elsewhere.
    """
    names = activations(node, graph)
    weights = {name: graph.weights[name] for name in node.inputs if name in graph.weights}
    outputs = (TensorSpec(node.outputs[0], shapes[node.outputs[0]]),)
    if len(names) == 1:
        inputs = (TensorSpec(names[0], shapes[names[0]]),)
        return Graph(node.name, (node,), inputs, outputs, weights)
    parts = [shapes[name] for name in names]
    if any(len(s) < 2 or s[:1] + s[2:] != parts[0][:1] + parts[0][2:] for s in parts):
        raise InvalidModelError("its inputs cannot be stacked along axis 1")
    slices, end = [], 0
    for name, shape in zip(names, parts, strict=True):
        start, end = end, end + int(shape[1] or 0)
        bounds = {"starts": start, "ends": end, "axes": 1, "steps": 1}
        constants = {f"{name}.{what}": np.array([v], np.int64) for what, v in bounds.items()}
        weights |= constants
        slices.append(Node(f"{name}.slice", "Slice", (INPUT, *constants), (name,)))
    stacked = TensorSpec(INPUT, (None, end, *parts[0][2:]))
    return Graph(node.name, (*slices, node), (stacked,), outputs, weights)


def feed(
    names: Sequence[str], batches: Iterable[Mapping[str, np.ndarray]]
) -> Iterator[pa.RecordBatch]:
    """Batches of a node's activations, called `names`, as images for `isolate`'s network."""
    for batch in batches:
        arrays = [batch[name] for name in names]
        image = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)
        yield pa.RecordBatch.from_arrays([tensor_column.from_numpy(image)], names=[INPUT])
