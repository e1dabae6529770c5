"""Rewrites that apply as a model is imported, so that every backend runs the same nodes.

fold_constants             a node that computes a weight from weights becomes that weight
drop_identities            what reads an Identity or a Dropout reads its input instead
unstack_reductions         a reduction over tensors stacked for it is a chain of them
pick_before_transposing    what picks along an axis of a transposed tensor does so before
reshape_before_products    a product whose rows are told apart afterwards has them apart before
drop_dead_nodes            nodes and weights that no output needs go

Each leaves the outputs as they are. The first is a matter of `model.importer`, which works the
values out in any case. Constant integers, such as the shapes that exporters compute, are no matter
of these rules: they never stay nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from columnar_nn.model.graph import Graph, Node
from columnar_nn.model.operators import RENAMING
from columnar_nn.model.pick_first import pick_before_transposing
from columnar_nn.model.reshape_first import reshape_before_products
from columnar_nn.model.unstack import unstack_reductions

Rewrite = Callable[[Graph], Graph]
"""Gives a graph with the same outputs."""

FOLD_CONSTANTS = "fold_constants"
DROP_DEAD_NODES = "drop_dead_nodes"


def drop_identities(graph: Graph) -> Graph:
    """The graph without nodes that only rename a tensor; one that makes an output stays."""
    outputs = {spec.name for spec in graph.outputs}
    sources: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(sources.get(tensor, tensor) for tensor in node.inputs)
        if node.op_type in RENAMING and node.outputs[0] not in outputs:
            sources[node.outputs[0]] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return replace(graph, nodes=tuple(nodes))


def drop_dead_nodes(graph: Graph) -> Graph:
    """The graph with what its outputs need, and nothing else."""
    return graph.with_outputs(graph.outputs)


GRAPH_REWRITES: dict[str, Rewrite] = {
    "drop_identities": drop_identities,
    "unstack_reductions": unstack_reductions,
    "pick_before_transposing": pick_before_transposing,
    "reshape_before_products": reshape_before_products,
    DROP_DEAD_NODES: drop_dead_nodes,
}
"""Those that take a graph, by name, in the order in which they are applied."""

NAMES = (FOLD_CONSTANTS, *GRAPH_REWRITES)
"""Of all rewrites."""


def apply(graph: Graph, without: Collection[str] = ()) -> Graph:
    """The graph after all rewrites of graphs but those named in `without`."""
    for name, rewrite in GRAPH_REWRITES.items():
        if name not in without:
            graph = rewrite(graph)
    return graph
