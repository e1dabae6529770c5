"""Networks freed from the batch size that they were exported with, as far as they can be.

Every tensor's rows are followed operator by operator (`model.batch_axis`); where all of them are
kept apart the batch becomes symbolic. A network that mixes them stays tied to its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.batch_axis import Axis, MixedRowsError, broadcasting, reshaped_axis
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.names import FreshNames
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.parted_rows import Parting, parted, with_rows
from columnar_nn.model.shape_rules.movement import squeezed_axes
from columnar_nn.model.shape_rules.operands import FIXED_BATCH
from columnar_nn.model.shapes import infer_node, infer_shapes, operands_of

RESHAPING = frozenset({"Flatten", "Reshape"})
"""Operators that may merge the batch with what comes behind it."""


def with_symbolic_batch(graph: Graph) -> Graph:
    """The same network for any batch size, or as it was if it is tied to the one it has.

    The first dimension of every input becomes symbolic, and every Reshape says where the batch is
    by 0 or -1. Raises InvalidModelError for a network that takes any batch and mixes it, and for
    an output whose first dimension is not the batch.
    """
    sizes = {spec.shape[0] if spec.shape else 0 for spec in graph.inputs}
    if len(sizes) != 1 or 0 in sizes:
        shapes = " and ".join(f"{spec.name} {spec.shape}" for spec in graph.inputs)
        raise InvalidModelError(
            f"the inputs' first dimensions are not one batch: {shapes}; export all with the "
            "images in the first dimension"
        )
    rows = _Rows(graph)
    if rows.mixing and graph.batch is None:
        raise InvalidModelError(
            f"{rows.mixing}, and so mixes images; {FIXED_BATCH}: the network is then run in "
            "batches of that size"
        )
    _check_outputs(graph, rows)
    if rows.mixing or graph.batch is None:
        return graph
    outputs = tuple(replace(spec, shape=rows.shapes[spec.name]) for spec in graph.outputs)
    freed = replace(
        graph, nodes=tuple(rows.nodes), inputs=rows.inputs, outputs=outputs, weights=rows.weights
    )
    return freed.with_outputs(outputs)


def tie(graph: Graph) -> str:
    """Why the network only runs with the batch size that it has; empty if it takes any.

    Names the first node, its operator and the reason.
    """
    return "" if graph.batch is None else _Rows(graph).mixing


class _Rows:
    """The rows of every tensor of a network, its shape for any batch, and its nodes made to fit.

    `axes` lacks the tensors that are computed from mixed rows; `mixing` says where that began.
    `parts` says how many rows an image has in tensors where it has several.
    """

    def __init__(self, graph: Graph) -> None:
        self.inputs = tuple(TensorSpec(s.name, (None, *s.shape[1:]), s.dtype) for s in graph.inputs)
        self.weights = dict(graph.weights)
        self.shapes: dict[str, Shape] = {spec.name: spec.shape for spec in self.inputs}
        self.shapes.update((name, weight.shape) for name, weight in self.weights.items())
        self.axes: dict[str, Axis] = dict.fromkeys(self.weights)
        self.axes.update((spec.name, 0) for spec in self.inputs)
        self.parts: dict[str, int] = {}
        self.nodes: list[Node] = []
        self.mixing = ""
        made = (name for node in graph.nodes for name in node.outputs)
        self._tensors = FreshNames({*self.axes, *made})
        self._names = FreshNames({node.name for node in graph.nodes})
        self._batch = graph.batch
        self._exported = infer_shapes(graph)
        for node in graph.nodes:
            if all(name in self.axes for name in node.inputs if name):
                self._add(node)
        for spec in graph.outputs:
            if spec.name in self.parts:
                self._lost(
                    graph.producer(spec.name),
                    f"it ends with {self.parts[spec.name]} rows of an image",
                )

    def _lost(self, node: Node | None, reason: str) -> None:
        """What a node makes has no rows."""
        assert node is not None
        self.mixing = self.mixing or f"node {node.name} ({node.op_type}): {reason}"
        self.axes.pop(node.outputs[0], None)

    def _add(self, node: Node) -> None:
        """Follows the rows through a node whose inputs have them or are weights."""
        axes = [self.axes[name] if name else None for name in node.inputs]
        try:
            parts = self._common_parts(node)
            if self._batch is not None and axes[0] is not None and self._reshapes(node, axes[0]):
                nodes, parts = self._reshaped(node, axes[0])
            elif parts > 1:
                nodes = self._parted(node, axes, parts)
            else:
                nodes = [self._with_one_row(node, axes)]
            for made in nodes:
                self._follow(made)
            self._check(node, parts)
        except (MixedRowsError, InvalidModelError) as error:
            self._lost(node, str(error).removeprefix(f"node {node.name} ({node.op_type}): "))
            return
        self.nodes.extend(nodes)
        if parts > 1:
            self.parts[node.outputs[0]] = parts

    def _common_parts(self, node: Node) -> int:
        """How many rows an image has in what a node reads."""
        found = {self.parts.get(t, 1) for t in node.inputs if self.axes.get(t) is not None}
        if len(found) > 1:
            raise MixedRowsError(f"it combines {sorted(found)} rows of an image")
        return next(iter(found), 1)

    def _follow(self, node: Node) -> None:
        """Shape and rows of what a node for any batch makes."""
        axes = [self.axes[name] if name else None for name in node.inputs]
        axis = None
        if any(place is not None for place in axes):
            operands = operands_of(node, self.shapes, self.weights)
            axis = OPERATORS[node.op_type].rows(operands, axes)
        (shape,) = infer_node(node, self.shapes, self.weights)
        self.shapes[node.outputs[0]], self.axes[node.outputs[0]] = shape, axis

    def _reshapes(self, node: Node, axis: int) -> bool:
        """Whether it may merge the batch with others; of one image, drop it and put it back."""
        if node.op_type in RESHAPING or self._batch != 1:
            return node.op_type in RESHAPING
        if node.inputs[0] in self.parts:
            return node.op_type in ("Squeeze", "Unsqueeze")
        return node.op_type == "Squeeze" and axis in squeezed_axes(
            operands_of(node, self._exported, self.weights)
        )

    def _reshaped(self, node: Node, axis: int) -> tuple[list[Node], int]:
        """A Reshape to 0 (copied) or -1 (what is left) for the batch, and the rows of an image."""
        source, target = (self._exported[name] for name in (node.inputs[0], node.outputs[0]))
        assert self._batch is not None
        place, parts = reshaped_axis(_known(source), axis, _known(target), self._batch)
        if node.op_type == "Flatten" and parts == self.parts.get(node.inputs[0], 1) == 1:
            return [node], parts
        entries = list(_known(target))
        entries[place : place + 1] = [0 if place == axis else -1, *([parts] * (parts > 1))]
        if node.op_type == "Reshape" and np.array_equal(self.weights[node.inputs[1]], entries):
            return [node], parts
        name = self._weight(f"{node.name}.any_batch", np.array(entries, np.int64))
        reshape = Node(node.name, "Reshape", (node.inputs[0], name), node.outputs, {"allowzero": 0})
        return [reshape], parts

    def _parted(self, node: Node, axes: Sequence[Axis], parts: int) -> list[Node]:
        """The nodes that do on the rows of each image what one does on all of the file's batch."""
        exported = operands_of(node, self._exported, self.weights)
        shapes = [
            shape if shape is None or axis is None else with_rows(shape, axis)
            for shape, axis in zip(exported.shapes, axes, strict=True)
        ]
        operands = replace(exported, shapes=shapes)
        return parted(
            Parting(
                operands,
                axes,
                OPERATORS[node.op_type].rows(operands, axes),
                parts,
                lambda role, array: self._weight(f"{node.name}.{role}", array),
                lambda role: self._tensors.fresh(f"{node.outputs[0]}.{role}"),
                lambda role: self._names.fresh(f"{node.name}.{role}"),
            )
        )

    def _with_one_row(self, node: Node, axes: Sequence[Axis]) -> Node:
        """The node, of whose weights that have a row for each image, all alike, one row is left."""
        if self._batch in (None, 1) or OPERATORS[node.op_type].rows is not broadcasting:
            return node
        ranks = [len(self.shapes[name]) for name in node.inputs]
        (from_end, *_) = (a - r for a, r in zip(axes, ranks, strict=True) if a is not None)
        inputs = list(node.inputs)
        for index, (name, rank) in enumerate(zip(node.inputs, ranks, strict=True)):
            place, weight = rank + from_end, self.weights.get(name)
            if weight is not None and place >= 0 and weight.shape[place] == self._batch:
                first = weight.take([0], place)
                if (weight == first).all():
                    inputs[index] = self._weight(f"{name}.row", first)
        return replace(node, inputs=tuple(inputs))

    def _weight(self, name: str, array: np.ndarray) -> str:
        name = self._tensors.fresh(name)
        self.weights[name], self.shapes[name], self.axes[name] = array, array.shape, None
        return name

    def _check(self, node: Node, parts: int) -> None:
        """Whether of one batch is made what the node made, its rows where they should be."""
        tensor = node.outputs[0]
        exported, axis = self._exported[tensor], self.axes[tensor]
        expected = exported
        if axis is not None and exported[axis] == (self._batch and self._batch * parts):
            expected = with_rows(exported, axis, parts)
        if self.shapes[tensor] != expected or (axis is not None and expected[axis] is not None):
            raise MixedRowsError(f"its result of shape {exported} loses the dimension of the batch")


def _known(shape: Shape) -> Sequence[int]:
    """A shape without a symbolic dimension."""
    return [size for size in shape if size is not None]


def _check_outputs(graph: Graph, rows: _Rows) -> None:
    """Refuses an output whose first dimension is not the batch, as far as it can be known."""
    shapes: Mapping[str, Shape] = infer_shapes(graph)
    for spec in graph.outputs:
        shape = shapes[spec.name]
        if spec.name not in rows.axes:
            found = bool(shape) and shape[0] == graph.batch
        elif rows.axes[spec.name] is None:
            raise InvalidModelError(
                f"output {spec.name!r} does not depend on the image; leave it out when exporting"
            )
        else:
            found = rows.axes[spec.name] == 0
        if not found:
            size = "" if graph.batch is None else f" of {graph.batch} that the inputs begin with"
            named = ", ".join("batch" if size is None else str(size) for size in shape)
            raise InvalidModelError(
                f"output {spec.name!r} of shape ({named}): its first dimension is not the "
                f"batch{size}; export the network with the images first in every output"
            )
