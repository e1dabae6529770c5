"""Shape of every tensor of a graph, with the batch dimension left symbolic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError
from columnar_nn.model.graph import Graph, Node, Shape
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules.operands import Operands


def operands_of(
    node: Node, shapes: Mapping[str, Shape], weights: Mapping[str, np.ndarray]
) -> Operands:
    """The node with the shapes of its inputs and the values of those that are weights."""
    return Operands(
        node,
        [shapes[tensor] if tensor else None for tensor in node.inputs],
        [weights.get(tensor) if tensor else None for tensor in node.inputs],
    )


def output_shapes(operands: Operands) -> tuple[Shape, ...]:
    """Shapes of a node's outputs; raises InvalidModelError without the node's name."""
    return OPERATORS[operands.node.op_type].shape(operands)


def infer_node(
    node: Node, shapes: Mapping[str, Shape], weights: Mapping[str, np.ndarray]
) -> tuple[Shape, ...]:
    """Shapes of a node's outputs; raises InvalidModelError naming the node and the problem."""
    try:
        return output_shapes(operands_of(node, shapes, weights))
    except InvalidModelError as error:
        raise InvalidModelError(f"node {node.name} ({node.op_type}): {error}") from None


def infer_shapes(graph: Graph) -> dict[str, Shape]:
    """Shape of every input, weight and node output of `graph`, by tensor name.

    Follows ONNX's shape inference; None stands for the batch dimension, which no operator may
    mix with another. Raises UnsupportedOperatorError for operators that are not in `OPERATORS` and
    InvalidModelError for operands that do not fit together.
    """
    unknown = [
        (node.name, node.op_type, "not an operator of this project")
        for node in graph.nodes
        if node.op_type not in OPERATORS
    ]
    if unknown:
        raise UnsupportedOperatorError("shape inference", unknown)
    shapes: dict[str, Shape] = {spec.name: spec.shape for spec in graph.inputs}
    shapes.update((name, weight.shape) for name, weight in graph.weights.items())
    for node in graph.nodes:
        shapes.update(zip(node.outputs, infer_node(node, shapes, graph.weights), strict=True))
    return shapes
