"""A node of an operator that a user has declared."""

from __future__ import annotations

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Node
from columnar_nn.model.onnx_file import FileNode
from columnar_nn.model.operators import OPERATORS, with_defaults


def custom_node(node: FileNode) -> Node:
    """The node, which reads one tensor and has its operator's attributes, each with a value.

    Raises InvalidModelError for any other.
    """
    defaults = OPERATORS[node.custom].defaults
    unknown = sorted(node.attributes.keys() - defaults.keys())
    if unknown:
        raise InvalidModelError(f"the function has no attribute {unknown[0]!r}")
    for name, value in node.attributes.items():
        if not isinstance(value, (int, float)):
            raise InvalidModelError(f"attribute {name!r} is no number")
    if len(node.inputs) != 1 or len(node.outputs) != 1 or not node.inputs[0]:
        raise InvalidModelError("a declared function takes one tensor and makes one")
    return with_defaults(
        Node(node.name, node.custom, node.inputs, node.outputs, dict(node.attributes))
    )
