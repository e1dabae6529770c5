"""Operators of any number of tensors as chains of those of two: Sum, Max, Min and Mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from columnar_nn.model.node import Node
from columnar_nn.model.rewriting import Rewriting


def _chain(node: Node, rewriting: Rewriting, op_type: str) -> list[Node]:
    """An operator of several tensors as a chain of one of two."""
    if len(node.inputs) == 1:
        return [replace(node, op_type="Identity")]
    nodes, total = [], node.inputs[0]
    for index, term in enumerate(node.inputs[1:], start=1):
        result, name = node.outputs[0], node.name
        if index < len(node.inputs) - 1:
            result = rewriting.new_tensor(f"{node.outputs[0]}.{index}")
            name = rewriting.new_node(f"{node.name}.{index}")
        nodes.append(Node(name, op_type, (total, term), (result,), {}))
        total = result
    return nodes


def _sum(node: Node, rewriting: Rewriting) -> list[Node]:
    return _chain(node, rewriting, "Add")


def _extreme(node: Node, rewriting: Rewriting) -> list[Node]:
    return _chain(node, rewriting, node.op_type)


def _mean(node: Node, rewriting: Rewriting) -> list[Node]:
    """Mean as a sum over the number of its terms."""
    count = len(node.inputs)
    if count == 1:
        return _sum(node, rewriting)
    total = rewriting.new_tensor(f"{node.outputs[0]}.sum")
    name = rewriting.new_node(f"{node.name}.sum")
    divisor = rewriting.add_weight(f"{node.name}.count", np.array(count, np.float32))
    return [
        *_sum(replace(node, name=name, outputs=(total,)), rewriting),
        Node(node.name, "Div", (total, divisor), node.outputs, {}),
    ]


CHAIN_FORMS: dict[str, Callable[[Node, Rewriting], list[Node]]] = {
    **dict.fromkeys(("Max", "Min"), _extreme),
    "Mean": _mean,
    "Sum": _sum,
}
