"""Batch normalisation put into a network for its training and folded away afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from columnar_nn.model.graph import Graph, Node
from columnar_nn.model.operators import OPERATORS

EPSILON = OPERATORS["BatchNormalization"].defaults["epsilon"]
_SUFFIX = ".batch_norm"


def insert(graph: Graph) -> Graph:
    """`graph` with a BatchNormalization after each Conv that has a bias, which takes its place."""
    nodes: list[Node] = []
    weights = dict(graph.weights)
    for node in graph.nodes:
        if node.op_type != "Conv" or len(node.inputs) < 3:
            nodes.append(node)
            continue
        name = node.name + _SUFFIX
        image, weight, bias = node.inputs
        raw = f"{node.name}.raw"
        channels = weights[bias].shape
        weights[bias] = np.zeros(channels, np.float32)
        weights[f"{name}.scale"] = np.ones(channels, np.float32)
        weights[f"{name}.mean"] = np.zeros(channels, np.float32)
        weights[f"{name}.variance"] = np.ones(channels, np.float32)
        operands = (raw, f"{name}.scale", bias, f"{name}.mean", f"{name}.variance")
        nodes.append(replace(node, inputs=(image, weight), outputs=(raw,)))
        nodes.append(Node(name, "BatchNormalization", operands, node.outputs))
    return replace(graph, nodes=tuple(nodes), weights=weights)


def fold_inserted(graph: Graph) -> Graph:
    """Undoes `insert` without changing what the network computes at inference."""
    nodes: list[Node] = []
    weights = dict(graph.weights)
    for node in graph.nodes:
        if not node.name.endswith(_SUFFIX):
            nodes.append(node)
            continue
        conv = nodes.pop()
        image, weight = conv.inputs
        _, scale, bias, mean, variance = node.inputs
        factor = weights.pop(scale) / np.sqrt(weights.pop(variance).astype(np.float64) + EPSILON)
        shift = weights[bias] - weights.pop(mean) * factor
        weights[weight] = (weights[weight] * factor[:, None, None, None]).astype(np.float32)
        weights[bias] = shift.astype(np.float32)
        nodes.append(replace(conv, inputs=(image, weight, bias), outputs=node.outputs))
    return replace(graph, nodes=tuple(nodes), weights=weights)
