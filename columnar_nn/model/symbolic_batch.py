"""Networks freed from the batch size that they were exported with, as far as they can be.

Every tensor's rows are followed operator by operator (`model.batch_axis`); where all of them are
kept apart the batch becomes symbolic. A network that mixes them stays tied to its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.batch_axis import Axis, MixedRowsError, reshaped_axis
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules.operands import FIXED_BATCH
from columnar_nn.model.shapes import infer_node, infer_shapes, operands_of


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
    """

    def __init__(self, graph: Graph) -> None:
        self.inputs = tuple(TensorSpec(s.name, (None, *s.shape[1:]), s.dtype) for s in graph.inputs)
        self.weights = dict(graph.weights)
        self.shapes: dict[str, Shape] = {spec.name: spec.shape for spec in self.inputs}
        self.shapes.update((name, weight.shape) for name, weight in self.weights.items())
        self.axes: dict[str, Axis] = dict.fromkeys(self.weights)
        self.axes.update((spec.name, 0) for spec in self.inputs)
        self.nodes: list[Node] = []
        self.mixing = ""
        self._names = {*self.axes, *(name for node in graph.nodes for name in node.outputs)}
        self._batch = graph.batch
        self._exported = infer_shapes(graph)
        for node in graph.nodes:
            if all(name in self.axes for name in node.inputs if name):
                self._add(node)

    def _add(self, node: Node) -> None:
        """Follows the rows through a node whose inputs have them or are weights."""
        axes = [self.axes[name] if name else None for name in node.inputs]
        try:
            if node.op_type == "Reshape" and self._batch is not None and axes[0] is not None:
                node = self._for_any_batch(node, axes[0])
            axis = None
            if any(place is not None for place in axes):
                operands = operands_of(node, self.shapes, self.weights)
                axis = OPERATORS[node.op_type].rows(operands, axes)
            (shape,) = infer_node(node, self.shapes, self.weights)
            self._check(node, shape, axis)
        except (MixedRowsError, InvalidModelError) as error:
            reason = str(error).removeprefix(f"node {node.name} ({node.op_type}): ")
            self.mixing = self.mixing or f"node {node.name} ({node.op_type}): {reason}"
            return
        self.nodes.append(node)
        self.shapes[node.outputs[0]], self.axes[node.outputs[0]] = shape, axis

    def _for_any_batch(self, node: Node, axis: int) -> Node:
        """A Reshape whose target has 0 (copied) or -1 (what is left) for the batch size."""
        source, target = (self._exported[name] for name in (node.inputs[0], node.outputs[0]))
        place = reshaped_axis(_known(source), axis, _known(target))
        entries = list(_known(target))
        entries[place] = 0 if place == axis else -1
        if np.array_equal(self.weights[node.inputs[1]], entries):
            return node
        name = f"{node.name}.any_batch"
        while name in self._names:
            name += "_"
        self._names.add(name)
        self.weights[name] = np.array(entries, np.int64)
        self.shapes[name], self.axes[name] = (len(entries),), None
        return replace(node, inputs=(node.inputs[0], name), attributes={"allowzero": 0})

    def _check(self, node: Node, shape: Shape, axis: Axis) -> None:
        """Whether the node makes of one batch what it made, and has its rows at `axis`."""
        exported = self._exported[node.outputs[0]]
        as_exported = tuple(self._batch if size is None else size for size in shape)
        places = [place for place, size in enumerate(shape) if size is None]
        if as_exported != exported or places != ([] if axis is None else [axis]):
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
            size = "" if graph.batch is None else f" of {graph.batch}"
            named = ", ".join("batch" if size is None else str(size) for size in shape)
            raise InvalidModelError(
                f"output {spec.name!r} of shape ({named}): its first dimension is not the "
                f"batch{size}; export the network with the images first in every output"
            )
