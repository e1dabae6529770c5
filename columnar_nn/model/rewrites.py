"""Rewrites of graphs, applied as a model is imported, so that every engine runs the same nodes.

fold_constants     a node that computes a weight from weights becomes that weight
drop_identities    what reads an Identity or a Dropout reads its input instead
drop_dead_nodes    nodes and weights that no output needs go

Each takes a graph and gives one with the same outputs. Constant integers, such as the shapes
that exporters compute, are no matter of these rules: the importer needs them in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from columnar_nn.model.constants import EVALUATED, evaluate
from columnar_nn.model.graph import Graph, Node

Rule = Callable[[Graph], Graph]
"""Gives a graph with the same outputs."""

IDENTITIES = ("Identity", "Dropout")


def fold_constants(graph: Graph) -> Graph:
    """The graph with the values of nodes whose inputs are all weights, worked out in float32."""
    weights, nodes = dict(graph.weights), []
    for node in graph.nodes:
        known = node.op_type in EVALUATED and all(t in weights for t in node.inputs if t)
        if known and weights[node.inputs[0]].dtype == np.float32:
            with np.errstate(all="ignore"):
                value = evaluate(node, [weights.get(tensor) for tensor in node.inputs])
            weights[node.outputs[0]] = np.array(value, np.float32, order="C")
        else:
            nodes.append(node)
    return replace(graph, nodes=tuple(nodes), weights=weights)


def drop_identities(graph: Graph) -> Graph:
    """The graph without nodes that only rename a tensor; one that makes an output stays."""
    outputs = {spec.name for spec in graph.outputs}
    sources: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(sources.get(tensor, tensor) for tensor in node.inputs)
        if node.op_type in IDENTITIES and node.outputs[0] not in outputs:
            sources[node.outputs[0]] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return replace(graph, nodes=tuple(nodes))


def drop_dead_nodes(graph: Graph) -> Graph:
    """The graph with what its outputs need, and nothing else."""
    return graph.with_outputs(graph.outputs)


RULES: dict[str, Rule] = {
    "fold_constants": fold_constants,
    "drop_identities": drop_identities,
    "drop_dead_nodes": drop_dead_nodes,
}
"""The rules by name, in the order in which they are applied."""


def apply(graph: Graph, without: Collection[str] = ()) -> Graph:
    """The graph rewritten by all rules but those named in `without`."""
    for name, rule in RULES.items():
        if name not in without:
            graph = rule(graph)
    return graph
