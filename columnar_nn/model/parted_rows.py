"""Nodes over tensors in which each image of a batch has several rows, as windows of it are.

A file for B images may merge the batch with what comes behind it: windows [B, 64, 49, C] become
[B * 64, 49, C]. As long as every image keeps rows of its own, such a tensor is one of [batch, 64,
49, C] for any batch: its rows are *parted*, and nodes work on it as before, with one axis more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from columnar_nn.model.batch_axis import Axis, MixedRowsError
from columnar_nn.model.node import Node, Shape
from columnar_nn.model.operators import OPERATORS, REDUCTIONS, UNARY
from columnar_nn.model.shape_rules.operands import Operands, normalized_axes, normalized_axis


@dataclass(frozen=True)
class Parting:
    """What a rule may look at: a node as exported, and where its tensors have their rows.

    `axes` holds that of each input, None of a weight, and `out` that of the output; `parts` is how
    many rows an image has. `add_weight(role, array)`, `new_tensor(role)` and `new_node(role)` give
    names that are free.
    """

    operands: Operands
    axes: Sequence[Axis]
    out: int
    parts: int
    add_weight: Callable[[str, np.ndarray], str]
    new_tensor: Callable[[str], str]
    new_node: Callable[[str], str]

    @property
    def node(self) -> Node:
        return self.operands.node

    def shifted(self, axis: int) -> int:
        """An axis of the first input once that has one more behind its rows."""
        rows = self.axes[0]
        assert rows is not None
        axis = normalized_axis(axis, len(self.operands.shape(0)))
        return axis + (axis > rows)

    def with_integers(self, index: int, role: str, values: Sequence[int]) -> Node:
        """The node with other integers as its input at `index`."""
        inputs = [*self.node.inputs, *("" for _ in range(index + 1 - len(self.node.inputs)))]
        inputs[index] = self.add_weight(role, np.array(values, np.int64))
        return replace(self.node, inputs=tuple(inputs))


Rule = Callable[[Parting], list[Node]]


def with_rows(shape: Shape, axis: int, parts: int = 1) -> Shape:
    """A shape for any batch: the rows along `axis`, of which each image has so many."""
    return (*shape[:axis], None, *([parts] if parts > 1 else []), *shape[axis + 1 :])


def parted(parting: Parting) -> list[Node]:
    """The nodes in the place of one; raises MixedRowsError for an operator without a rule."""
    rule = RULES.get(parting.node.op_type)
    if rule is None:
        raise MixedRowsError(f"an image has {parting.parts} rows there, for which it has no form")
    return rule(parting)


def _as_it_is(parting: Parting) -> list[Node]:
    return [parting.node]


def _along_axis(parting: Parting) -> list[Node]:
    axis = parting.shifted(parting.node.attributes["axis"])
    return [replace(parting.node, attributes={**parting.node.attributes, "axis": axis})]


def _along_axes(index: int) -> Rule:
    """Axes are the input at `index`, all of them if it is absent."""

    def rule(parting: Parting) -> list[Node]:
        given = parting.operands.integer_input(index, "axes")
        if not given and parting.node.attributes.get("noop_with_empty_axes"):
            return [parting.node]
        if given is None:
            count = len(parting.operands.shape(0))
            if index == 3:  # of Slice and Pad: no more than there are bounds
                count = min(count, len(parting.operands.integer_input(1, "bounds") or []))
            given = list(range(count))
        axes = [parting.shifted(axis) for axis in given]
        return [parting.with_integers(index, "axes", axes)]

    return rule


def _squeeze(parting: Parting) -> list[Node]:
    shape = parting.operands.shape(0)
    given = parting.operands.integer_input(1, "axes")
    if given is None:
        given = [a for a, size in enumerate(shape) if size == 1 and a != parting.axes[0]]
    return [parting.with_integers(1, "axes", [parting.shifted(axis) for axis in given])]


def _unsqueeze(parting: Parting) -> list[Node]:
    given = parting.operands.integer_input(1, "axes") or []
    axes = normalized_axes(given, len(parting.operands.shape(0)) + len(given))
    return [parting.with_integers(1, "axes", [axis + (axis > parting.out) for axis in axes])]


def _transpose(parting: Parting) -> list[Node]:
    perm: list[int] = []
    for axis in parting.node.attributes["perm"]:
        perm.append(parting.shifted(axis))
        if axis == parting.axes[0]:
            perm.append(axis + 1)
    return [replace(parting.node, attributes={"perm": perm})]


def _broadcast(parting: Parting) -> list[Node]:
    """A weight that reaches beyond the rows gets an axis behind them."""
    shapes = [parting.operands.shape(index) for index in range(len(parting.axes))]
    rank = max(map(len, shapes))
    inputs = list(parting.node.inputs)
    for index, (shape, axis) in enumerate(zip(shapes, parting.axes, strict=True)):
        own = parting.out - (rank - len(shape))
        if axis is None and own >= 0 and len(shape) > 1:
            array = parting.operands.constants[index]
            assert array is not None
            inputs[index] = parting.add_weight("parted", np.expand_dims(array, own + 1))
    return [replace(parting.node, inputs=tuple(inputs))]


def _expand(parting: Parting) -> list[Node]:
    return _with_a_one(parting, "shape")


def _tile(parting: Parting) -> list[Node]:
    return _with_a_one(parting, "repeats")


def _with_a_one(parting: Parting, role: str) -> list[Node]:
    """One entry more, 1, in the list that has one for each of the last axes of the output."""
    entries = parting.operands.integer_input(1, role) or []
    rank = max(len(entries), len(parting.operands.shape(0)))
    place = parting.out + 1 - (rank - len(entries))
    if place > 0:
        entries.insert(place, 1)
    return [parting.with_integers(1, role, entries)]


def _batch_normalization(parting: Parting) -> list[Node]:
    """A factor and an addend for each channel, which is no longer axis 1."""
    node, rank = parting.node, len(parting.operands.shape(0))
    scale, bias, mean, variance = (
        np.asarray(parting.operands.constant(index, "a parameter"), np.float64)
        for index in range(1, 5)
    )
    factor = scale / np.sqrt(variance + node.attributes["epsilon"])
    values = {"factor": factor, "addend": bias - mean * factor}
    factor_name, addend_name = (
        parting.add_weight(role, value.astype(np.float32).reshape(-1, *[1] * (rank - 2)))
        for role, value in values.items()
    )
    tensor = parting.new_tensor("scaled")
    return [
        Node(parting.new_node("scale"), "Mul", (node.inputs[0], factor_name), (tensor,)),
        Node(node.name, "Add", (tensor, addend_name), node.outputs),
    ]


def _gemm(parting: Parting) -> list[Node]:
    """A product of matrices that leading dimensions may come before."""
    node, operands = parting.node, parting.operands
    matrix = operands.constant(1, "the matrix")
    assert matrix is not None
    if node.attributes["transB"]:
        matrix = matrix.T
    alpha, beta = (np.float32(node.attributes[name]) for name in ("alpha", "beta"))
    inputs = (node.inputs[0], parting.add_weight("matrix", np.ascontiguousarray(alpha * matrix)))
    if not operands.present(2):
        return [Node(node.name, "MatMul", inputs, node.outputs)]
    addend = operands.constant(2, "the addend")
    assert addend is not None
    tensor = parting.new_tensor("product")
    added = (tensor, parting.add_weight("addend", beta * addend.reshape(addend.shape[-1:])))
    return [
        Node(parting.new_node("product"), "MatMul", inputs, (tensor,)),
        Node(node.name, "Add", added, node.outputs),
    ]


def _mat_mul(parting: Parting) -> list[Node]:
    """Rows of the first matrix become several matrices; leading dimensions are broadcast."""
    rows_of_first = parting.axes[0] == len(parting.operands.shape(0)) - 2
    others = parting.operands.shape(1)
    if parting.axes[1] is None and rows_of_first and len(others) == 2:
        return [parting.node]
    ranks = (len(parting.operands.shape(0)), len(others))
    if parting.out >= max(ranks) - 2 or min(ranks) < 2:
        raise MixedRowsError(f"an image has {parting.parts} columns there, or rows of a vector")
    return [parting.node] if min(ranks) == 2 else _broadcast(parting)


def _by_channel(parting: Parting) -> list[Node]:
    """A window over each channel by itself: the channels of an image's rows are those of one."""
    node, operands = parting.node, parting.operands
    _, channels, *spatial = operands.shape(0)
    constants = [operands.constant(index, "a weight") for index in range(1, len(node.inputs))]
    is_mixing = node.op_type == "Conv" and node.attributes["group"] != channels
    if parting.axes[0] != 0 or is_mixing or channels is None:
        raise MixedRowsError(f"an image has {parting.parts} rows there, for which it has no form")
    attributes = dict(node.attributes)
    if node.op_type == "Conv":
        attributes["group"] = parting.parts * channels
    weights = [
        parting.add_weight("parted", np.tile(array, (parting.parts, *[1] * (array.ndim - 1))))
        for array in constants
        if array is not None
    ]
    ((_, made, *sizes),) = OPERATORS[node.op_type].shape(operands)
    whole, convolved = parting.new_tensor("whole"), parting.new_tensor("windows")
    shapes = [[0, parting.parts * channels, *spatial], [0, parting.parts, made, *sizes]]
    before, after = (parting.add_weight("shape", np.array(shape, np.int64)) for shape in shapes)
    kept = {"allowzero": 0}
    return [
        Node(parting.new_node("whole"), "Reshape", (node.inputs[0], before), (whole,), kept),
        Node(node.name, node.op_type, (whole, *weights), (convolved,), attributes),
        Node(parting.new_node("parted"), "Reshape", (convolved, after), node.outputs, kept),
    ]


_BROADCASTING = tuple(
    name for name, operator in OPERATORS.items() if operator.shape is OPERATORS["Add"].shape
)

RULES: Mapping[str, Rule] = {
    **dict.fromkeys((*UNARY, "Clip", "Dropout", "Gelu", "Identity", "Not"), _as_it_is),
    **dict.fromkeys((*_BROADCASTING, "PRelu"), _broadcast),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "LpNormalization"), _along_axis),
    **dict.fromkeys(("ArgMax", "ArgMin", "Concat", "Gather", "LayerNormalization"), _along_axis),
    **dict.fromkeys(REDUCTIONS, _along_axes(1)),
    **dict.fromkeys(("Pad", "Slice"), _along_axes(3)),
    **dict.fromkeys(("AveragePool", "Conv", "GlobalAveragePool", "MaxPool"), _by_channel),
    "BatchNormalization": _batch_normalization,
    "Expand": _expand,
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""How operators work on parted rows. Convolutions of several channels have no form: their kernels
take one image a row."""
