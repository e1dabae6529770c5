"""The last step of the import: what no backend could run is refused, all of it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError
from columnar_nn.model.graph import Graph, Node

WEIGHT_DTYPES = ("float32", "int64", "int32", "bool")


def judge_nodes(
    nodes: Sequence[Node], gaps: Mapping[str, str], errors: Mapping[str, InvalidModelError]
) -> None:
    """Raises for nodes that could not be imported.

    `gaps` says by name of the node why none of its kind can run: UnsupportedOperatorError lists
    them all. `errors` says what is wrong with a node: the first is raised.
    """
    missing = [(n.name, n.op_type, gaps[n.name]) for n in nodes if n.name in gaps]
    if missing:
        raise UnsupportedOperatorError("the ONNX importer", missing)
    for node in nodes:
        if node.name in errors:
            raise errors[node.name]


def judge_weights(graph: Graph) -> None:
    """Raises InvalidModelError for a weight that no backend could hold."""
    for name, weight in graph.weights.items():
        if str(weight.dtype) not in WEIGHT_DTYPES:
            raise InvalidModelError(
                f"weight {name!r} is {weight.dtype}; only float32 networks run here: export in "
                "float32"
            )


def judge_inputs(graph: Graph) -> None:
    """Raises InvalidModelError unless the network computes from images.

    What its outputs must be is said by `model.symbolic_batch`.
    """
    if not graph.inputs:
        raise InvalidModelError("the network has no input: it computes nothing from an image")
    if not graph.outputs:
        raise InvalidModelError("the network has no output: export it with one")
    for spec in graph.inputs:
        if 0 in spec.shape or not spec.shape:
            raise InvalidModelError(
                f"input {spec.name!r} of shape {spec.shape} is no image: export with a fixed size"
            )
