"""One operator of a network as a network of its own, and the images that feed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidModelError
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.shape_rules.window import plain_window

INPUT = "image"
"""A backend takes one column of images; of several tensors the channels are stacked in it."""

_ONE_BY_ONE = {"kernel_shape": [1, 1], **plain_window(2)}


def activations(node: Node, graph: Graph) -> tuple[str, ...]:
    """The inputs of a node that depend on the image, each once, in order."""
    names = (name for name in node.inputs if name and name not in graph.weights)
    return tuple(dict.fromkeys(names))


def isolate(node: Node, graph: Graph, shapes: Mapping[str, Shape]) -> Graph:
    """A network of `node` alone, its tensors named as in `graph`.

    A node with one activation reads it as the network's input. One with several (Add, Concat)
    gets them from one input in which they are stacked: by 1x1 convolutions with ones and zeros,
    which are exact for finite numbers, and which, unlike Slice, every backend has. Raises
    InvalidModelError if the shapes cannot be stacked.
    """
    names = activations(node, graph)
    weights = {name: graph.weights[name] for name in node.inputs if name in graph.weights}
    outputs = (TensorSpec(node.outputs[0], shapes[node.outputs[0]]),)
    if len(names) == 1:
        inputs = (TensorSpec(names[0], shapes[names[0]]),)
        return Graph(node.name, (node,), inputs, outputs, weights)
    parts = [shapes[name] for name in names]
    if any(len(shape) != 4 or shape[2:] != parts[0][2:] for shape in parts):
        raise InvalidModelError("its inputs are not images of one height and width")
    channels = [int(shape[1] or 0) for shape in parts]
    identity = np.eye(sum(channels), dtype=np.float32)[..., np.newaxis, np.newaxis]
    filters = np.split(identity, np.cumsum(channels)[:-1])
    takers = []
    for name, selection in zip(names, filters, strict=True):
        weights[f"{name}.taken"] = selection
        takers.append(Node(f"{name}.take", "Conv", (INPUT, f"{name}.taken"), (name,), _ONE_BY_ONE))
    stacked = TensorSpec(INPUT, (parts[0][0], sum(channels), *parts[0][2:]))
    return Graph(node.name, (*takers, node), (stacked,), outputs, weights)


def feed(
    names: Sequence[str], batches: Iterable[Mapping[str, np.ndarray]]
) -> Iterator[pa.RecordBatch]:
    """Batches of a node's activations, called `names`, as images for `isolate`'s network."""
    for batch in batches:
        arrays = [batch[name] for name in names]
        image = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)
        yield pa.RecordBatch.from_arrays([tensor_column.from_numpy(image)], names=[INPUT])
