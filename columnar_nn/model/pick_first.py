"""A rewrite of graphs: what is picked of a transposed tensor is picked before it is transposed.

Attention computes queries, keys and values by one product, brings the axis that tells them apart
to the front and takes them from there. Picked first, no tensor has the images anywhere but in
front, and only what is used is moved.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from columnar_nn.model.graph import Graph, Node
from columnar_nn.model.names import FreshNames

PICKING = {"Gather": 1, "Slice": 3, "Squeeze": 1}
"""Operators that pick along axes of their first input, and how many constants say which."""


def pick_before_transposing(graph: Graph) -> Graph:
    """The graph whose Gather, Slice and Squeeze nodes read no Transpose that moves the first axis.

    Where their indices or axes are computed, or are no single list, they stay.
    """
    rewriting = _Rewriting(graph)
    for node in graph.nodes:
        rewriting.add(node)
    return replace(graph, nodes=tuple(rewriting.nodes), weights=rewriting.weights)


class _Rewriting:
    """Nodes, and the axes that they name as weights, collected while a graph is rewritten."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Node] = []
        self.weights = dict(graph.weights)
        self._transposes: dict[str, Node] = {}
        tensors = {*graph.weights, *(spec.name for spec in graph.inputs)}
        self._tensors = FreshNames({*tensors, *(t for n in graph.nodes for t in n.outputs)})
        self._names = FreshNames({node.name for node in graph.nodes})

    def add(self, node: Node) -> None:
        """The node, or one that picks and a Transpose of what that makes."""
        transpose = self._transposes.get(node.inputs[0]) if node.inputs else None
        constants = [self.weights[name] for name in node.inputs[1:] if name in self.weights]
        if transpose is None or len(constants) < PICKING.get(node.op_type, len(constants) + 1):
            self._append(node)
            return
        if node.op_type == "Gather" and constants[0].ndim > 1:
            self._append(node)
            return
        perm = transpose.attributes["perm"]
        picking, dropped = self._picking(node, perm, constants)
        tensor = self._tensors.fresh(f"{node.outputs[0]}.picked")
        name = self._names.fresh(f"{node.name}.picked")
        inputs = (transpose.inputs[0], *picking.inputs[1:])
        self._append(replace(picking, name=name, inputs=inputs, outputs=(tensor,)))
        left = [axis - sum(gone < axis for gone in dropped) for axis in perm if axis not in dropped]
        self._append(Node(node.name, "Transpose", (tensor,), node.outputs, {"perm": left}))

    def _append(self, node: Node) -> None:
        self.nodes.append(node)
        if node.op_type == "Transpose" and node.attributes["perm"][:1] != [0]:
            self._transposes[node.outputs[0]] = node

    def _picking(
        self, node: Node, perm: list[int], constants: list[np.ndarray]
    ) -> tuple[Node, list[int]]:
        """The node along the axes that those it names come from, and which of these vanish."""
        if node.op_type == "Gather":
            axis = perm[node.attributes["axis"]]
            return replace(node, attributes={"axis": axis}), [axis] * (constants[0].ndim == 0)
        place = PICKING[node.op_type]  # where its axes are
        axes = [perm[axis] for axis in constants[place - 1].reshape(-1)]
        name = self._tensors.fresh(f"{node.name}.axes")
        self.weights[name] = np.array(axes, np.int64)
        inputs = (*node.inputs[:place], name, *node.inputs[place + 1 :])
        return replace(node, inputs=inputs), axes if node.op_type == "Squeeze" else []
