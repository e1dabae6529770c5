"""A rewrite of graphs: a reduction over tensors that were stacked for it is a chain of them.

`torch.stack(branches).mean(0)` puts tensors of images beside each other along an axis in front of
the images, and takes it away again. As a chain of sums no tensor has the images anywhere but in
front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from columnar_nn.model.graph import Graph, Node
from columnar_nn.model.names import FreshNames

CHAINED: Mapping[str, str] = {
    "ReduceMax": "Max",
    "ReduceMean": "Add",
    "ReduceMin": "Min",
    "ReduceProd": "Mul",
    "ReduceSum": "Add",
}
"""Reductions, and the operators of two tensors that their chains are made of."""


def unstack_reductions(graph: Graph) -> Graph:
    """The graph whose reductions over the first axis read no tensors that were stacked there."""
    tensors = {t for node in graph.nodes for t in (*node.inputs, *node.outputs)}
    tensor_names = FreshNames({*tensors, *graph.weights, *(spec.name for spec in graph.inputs)})
    names = FreshNames({node.name for node in graph.nodes})
    weights = dict(graph.weights)
    nodes: list[Node] = []
    for node in graph.nodes:
        stacked = _stacked(graph, node) if node.op_type in CHAINED else []
        if not stacked:
            nodes.append(node)
            continue
        steps = [(CHAINED[node.op_type], other) for other in stacked[1:]]
        if node.op_type == "ReduceMean":
            count = tensor_names.fresh(f"{node.name}.count")
            weights[count] = np.array(len(stacked), np.float32)
            steps.append(("Div", count))
        total = stacked[0]
        for number, (op_type, operand) in enumerate(steps, start=1):
            name, made = node.name, node.outputs[0]
            if number < len(steps):
                name, made = names.fresh(f"{name}.chain"), tensor_names.fresh(f"{made}.chain")
            nodes.append(Node(name, op_type, (total, operand), (made,)))
            total = made
    return replace(graph, nodes=tuple(nodes), weights=weights)


def _stacked(graph: Graph, node: Node) -> list[str]:
    """What a reduction over the first axis alone reduces, where a Concat has put it there."""
    concat = graph.producer(node.inputs[0])
    if (
        _axes(graph, node) != [0]
        or node.attributes["keepdims"]
        or concat is None
        or concat.op_type != "Concat"
        or concat.attributes["axis"] != 0
    ):
        return []
    parts = [graph.producer(tensor) for tensor in concat.inputs]
    stacked = [p for p in parts if p and p.op_type == "Unsqueeze" and _axes(graph, p) == [0]]
    return [part.inputs[0] for part in stacked] if len(stacked) == len(parts) > 1 else []


def _axes(graph: Graph, node: Node) -> list[int]:
    """The constant axes of a node; [] if it has none."""
    axes = graph.weights.get(node.inputs[1]) if len(node.inputs) > 1 else None
    return [] if axes is None else [int(axis) for axis in axes.reshape(-1)]
