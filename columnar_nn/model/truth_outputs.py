"""Outputs of truth values as numbers: no column of tensors holds truth values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from columnar_nn.model.graph import Graph, Node
from columnar_nn.model.names import FreshNames


def truths_as_numbers(graph: Graph) -> Graph:
    """The graph whose outputs of truth values are 1 and 0 in float32, under the same names."""
    truths = [spec.name for spec in graph.outputs if spec.dtype == "bool"]
    if not truths:
        return graph
    made = {tensor for node in graph.nodes for tensor in node.outputs}
    tensors = FreshNames({*made, *graph.weights, *(spec.name for spec in graph.inputs)})
    names = FreshNames({node.name for node in graph.nodes})
    renamed = {tensor: tensors.fresh(f"{tensor}.truth") for tensor in truths if tensor in made}
    one, zero = tensors.fresh("true"), tensors.fresh("false")
    nodes = [
        replace(
            node,
            inputs=tuple(renamed.get(tensor, tensor) for tensor in node.inputs),
            outputs=tuple(renamed.get(tensor, tensor) for tensor in node.outputs),
        )
        for node in graph.nodes
    ]
    nodes += [
        Node(names.fresh(f"{tensor}.as_numbers"), "Where", (truth, one, zero), (tensor,))
        for tensor, truth in renamed.items()
    ]
    outputs = tuple(
        replace(spec, dtype="float32") if spec.name in renamed else spec for spec in graph.outputs
    )
    weights = {**graph.weights, one: np.array(1, np.float32), zero: np.array(0, np.float32)}
    return replace(graph, nodes=tuple(nodes), outputs=outputs, weights=weights)
