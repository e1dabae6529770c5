"""Networks whose tensors all have the images of a batch in front, as an engine of rows needs them.

PyTorch's MultiheadAttention computes on [17, batch, 32], between two Transposes. Each tensor
becomes the one whose axis of images comes first, [batch, 17, 32], nodes work along the axes that
theirs have become, and those Transposes move nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from columnar_nn.model.batch_axis import Axis
from columnar_nn.model.graph import Graph, Node, Shape
from columnar_nn.model.names import FreshNames
from columnar_nn.model.operators import OPERATORS, REDUCTIONS, RENAMING, UNARY
from columnar_nn.model.parted_rows import RULES as PARTED
from columnar_nn.model.parted_rows import Parting
from columnar_nn.model.shape_rules.movement import permutation
from columnar_nn.model.shape_rules.operands import normalized_axis
from columnar_nn.model.shapes import operands_of


class _StaysError(Exception):
    """A node has no form on tensors that have the images in front."""


def rows_first(graph: Graph, shapes: Mapping[str, Shape]) -> Graph:
    """The graph, of these shapes, with the symbolic dimension of every tensor first.

    It is as it was where a node has no such form: it works along the images, for one; and where an
    output has them elsewhere.
    """
    if any(None in shapes[spec.name][1:] for spec in graph.outputs):
        return graph
    tensors = {t for node in graph.nodes for t in (*node.inputs, *node.outputs)}
    tensor_names = FreshNames({*tensors, *graph.weights, *(spec.name for spec in graph.inputs)})
    names = FreshNames({node.name for node in graph.nodes})
    weights = dict(graph.weights)
    nodes: list[Node] = []

    def add_weight(name: str, array: np.ndarray) -> str:
        name = tensor_names.fresh(name)
        weights[name] = array
        return name

    def moving(node: Node, axes: list[Axis], place: int) -> _Moving:
        return _Moving(
            operands_of(node, shapes, graph.weights),
            axes,
            place,
            1,
            lambda role, array: add_weight(f"{node.name}.{role}", array),
            lambda role: tensor_names.fresh(f"{node.outputs[0]}.{role}"),
            lambda role: names.fresh(f"{node.name}.{role}"),
            shapes[node.outputs[0]],
        )

    for node in graph.nodes:
        axes = [_axis(shapes[tensor]) if tensor else None for tensor in node.inputs]
        place = _axis(shapes[node.outputs[0]])
        if {*axes, place} <= {None, 0}:
            nodes.append(node)
            continue
        rule = _RULES.get(node.op_type)
        try:
            if rule is None or place is None:
                raise _StaysError
            nodes.extend(rule(moving(node, axes, place)))
        except _StaysError:
            return graph
    return replace(graph, nodes=tuple(nodes), weights=weights)


def _axis(shape: Shape) -> Axis:
    """Where the images are; None in a tensor without any."""
    return shape.index(None) if None in shape else None


@dataclass(frozen=True)
class _Moving(Parting):
    """A node as it was, and where its tensors had the images that they will have in front."""

    result: Shape

    def shifted(self, axis: int) -> int:
        """What an axis of the first input has become; raises _StaysError for that of the images."""
        rows = self.axes[0]
        axis = normalized_axis(axis, len(self.operands.shape(0)))
        if rows is None or axis == rows:
            raise _StaysError
        return axis + (axis < rows)


_Rule = Callable[[_Moving], list[Node]]


def _transpose(moving: _Moving) -> list[Node]:
    perm = permutation(moving.operands)
    moved = [0, *(moving.shifted(axis) for axis in perm if axis != moving.axes[0])]
    if moved == sorted(moved):
        return [replace(moving.node, op_type="Identity", attributes={})]
    return [replace(moving.node, attributes={"perm": moved})]


def _reshape(moving: _Moving) -> list[Node]:
    """Elements of an image stay in order: as many lie before its axis as did."""
    source, rows = moving.operands.shape(0), moving.axes[0]
    if rows is None or _product(source[:rows]) != _product(moving.result[: moving.out]):
        raise _StaysError
    return [_reshaped(moving, moving.node.inputs[0], moving.node.outputs[0], _row(moving.result))]


def _reshaped(moving: _Moving, tensor: str, made: str, row: list[int]) -> Node:
    target = moving.add_weight("row", np.array([0, *row], np.int64))
    name = moving.node.name if made in moving.node.outputs else moving.new_node("row")
    return Node(name, "Reshape", (tensor, target), (made,), {"allowzero": 0})


def _row(shape: Shape) -> list[int]:
    return [size for size in shape if size is not None]


def _product(shape: Shape) -> int:
    return math.prod(_row(shape))


def _broadcast(moving: _Moving) -> list[Node]:
    """Where ranks differ, ones come between the images and the rest; constants are moved, too."""
    rank, inputs, nodes = len(moving.result), list(moving.node.inputs), []
    for index, shape in enumerate(moving.operands.given_shapes()):
        constant = moving.operands.constants[index]
        missing = [1] * (rank - len(shape))
        if constant is not None and constant.size > 1:
            moved = np.moveaxis(constant.reshape(*missing, *shape), moving.out, 0)
            inputs[index] = moving.add_weight(f"{index}.moved", np.ascontiguousarray(moved))
        elif constant is None and missing:
            inputs[index] = moving.new_tensor(f"{index}.row")
            row = [*missing, *_row(shape)]
            nodes.append(_reshaped(moving, moving.node.inputs[index], inputs[index], row))
    return [*nodes, replace(moving.node, inputs=tuple(inputs))]


def _mat_mul(moving: _Moving) -> list[Node]:
    """Rows of the first of two factors, or matrices of their own in all that are computed."""
    left, right = moving.operands.shape(0), moving.operands.shape(1)
    first, second = moving.axes
    if second is None and len(right) == 2 and first is not None and first < len(left) - 1:
        return [moving.node]
    leading = len(left) == len(right) and moving.out < len(left) - 2
    if not (leading and {first, second} <= {moving.out, None}):
        raise _StaysError
    if len(left) == len(right) and first == second:
        return [moving.node]
    return _broadcast(moving)


_ALONG = ("ArgMax", "ArgMin", "Concat", "Gather", "Hardmax", "LayerNormalization", "LogSoftmax")

_RULES: dict[str, _Rule] = {
    **{name: PARTED[name] for name in (*UNARY, *RENAMING, *REDUCTIONS, "Clip", "Gelu", "Not")},
    **{name: PARTED[name] for name in (*_ALONG, "LpNormalization", "Pad", "Slice", "Softmax")},
    **{n: _broadcast for n, op in OPERATORS.items() if op.shape is OPERATORS["Add"].shape},
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshape),
    "MatMul": _mat_mul,
    "Transpose": _transpose,
}
"""Operators on tensors that have the images in front. The others have no such form."""
