"""Networks that were exported for one batch size, freed from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.shapes import infer_shapes


def with_symbolic_batch(graph: Graph) -> Graph:
    """The same network for any batch size, if no operator depends on the one it has.

    The first dimension of every input becomes symbolic, and Reshape nodes that name it copy it
    instead. A network that mixes the images of its batch is returned as it was.
    """
    batches = {spec.shape[0] for spec in graph.inputs if spec.shape}
    if len(batches) != 1 or batches == {None}:
        return graph
    (batch,) = batches
    shapes = infer_shapes(graph)
    weights = dict(graph.weights)

    def free(node: Node) -> Node:
        """A Reshape that names the batch size copies it instead; other nodes stay."""
        if node.op_type != "Reshape" or node.inputs[1] not in weights:
            return node
        target = weights[node.inputs[1]]
        names_batch = target.size and target[0] == batch == shapes[node.inputs[0]][0]
        empty = node.attributes.get("allowzero", 0) and 0 in target
        if empty or not names_batch:
            return node
        name = f"{node.name}.any_batch"
        weights[name] = np.concatenate([np.zeros(1, np.int64), target[1:]])
        return replace(node, inputs=(node.inputs[0], name), attributes={"allowzero": 0})

    inputs = tuple(TensorSpec(s.name, (None, *s.shape[1:]), s.dtype) for s in graph.inputs)
    nodes = tuple(map(free, graph.nodes))
    freed = replace(graph, nodes=nodes, inputs=inputs, weights=weights)
    try:
        new_shapes = infer_shapes(freed)
    except InvalidModelError:
        return graph
    outputs = [replace(spec, shape=new_shapes[spec.name]) for spec in graph.outputs]
    return freed.with_outputs(outputs)
