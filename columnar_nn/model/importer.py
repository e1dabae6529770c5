"""The nodes of an ONNX file turned, one after the other, into a graph in canonical form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError
from columnar_nn.model.canonical import IMPLICIT, Rewriting, canonical_nodes
from columnar_nn.model.constants import (
    EVALUATED,
    ONLY_EVALUATED,
    evaluate,
    holds_batch,
    reshape_target,
    shape_value,
)
from columnar_nn.model.graph import Node, Shape
from columnar_nn.model.shapes import infer_node


class GraphImporter:
    """Nodes, weights and shapes collected while the nodes of a file are added in its order.

    `nodes` holds what is left to run, in canonical form; `weights` the file's constants and
    the integers that its nodes make; `shapes` those of all tensors so far.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[Node] = []
        self.weights: dict[str, np.ndarray] = {}
        self.shapes: dict[str, Shape] = {}
        self.batch_sizes: dict[str, np.ndarray] = {}
        """Integers computed by nodes of which at least one is the size of the batch."""

    def add_weight(self, name: str, array: np.ndarray) -> str:
        """Stores a constant under `name`, or a longer name if that is taken; returns it."""
        while name in self.shapes:
            name += "_"
        self.weights[name] = array
        self.shapes[name] = array.shape
        return name

    def add(self, node: Node) -> None:
        """Adds one node of the file, in canonical form, or the constant that it makes.

        Raises InvalidModelError or UnsupportedOperatorError, naming the node.
        """
        if node.op_type in IMPLICIT:
            self.add_weight(node.outputs[0], self._constant(node))
            return
        if self._is_known(node):
            self._add_known_value(node)
            return
        if self._casts_to_its_own_type(node):
            node = replace(node, op_type="Identity", attributes={})
        if node.op_type in ONLY_EVALUATED:
            reason = "supported only where it computes a constant"
            raise UnsupportedOperatorError("the ONNX importer", [(node.name, node.op_type, reason)])
        rewriting = Rewriting(self.opset, self.shapes, self.weights, self.add_weight)
        for canonical in canonical_nodes(self._without_batch_size(node), rewriting):
            shape = infer_node(canonical, self.shapes, self.weights)
            self.nodes.append(canonical)
            self.shapes.update(zip(canonical.outputs, shape, strict=True))

    def _casts_to_its_own_type(self, node: Node) -> bool:
        """Whether a node casts to float32 what is float32, as all run-time tensors are."""
        to_float = node.op_type == "Cast" and node.attributes["to"] == onnx.TensorProto.FLOAT
        weight = self.weights.get(node.inputs[0]) if to_float else None
        return to_float and (weight is None or weight.dtype == np.float32)

    def _value(self, tensor: str) -> np.ndarray | None:
        """What is known of a tensor: its integers (some may be BATCH) or weights, else None."""
        weight = self.weights.get(tensor)
        if weight is None:
            return self.batch_sizes.get(tensor)
        return weight.astype(object) if weight.dtype.kind == "i" else weight

    def _is_known(self, node: Node) -> bool:
        """Whether a node's value must be worked out now: integers, or no engine has the node.

        Weights made of weights are left to `model.rewrites`.
        """
        if node.op_type == "Shape":
            return True
        values = [self._value(tensor) for tensor in node.inputs if tensor]
        if node.op_type not in EVALUATED or any(value is None for value in values):
            return False
        makes_weight = values[0] is not None and values[0].dtype == np.float32
        return node.op_type in ONLY_EVALUATED or not makes_weight

    def _add_known_value(self, node: Node) -> None:
        """Stores the value of a node that computes a shape or a weight."""
        try:
            if node.op_type == "Shape":
                value = shape_value(node, self.shapes[node.inputs[0]])
            else:
                value = evaluate(node, [self._value(tensor) for tensor in node.inputs])
        except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
            raise InvalidModelError(
                f"node {node.name} ({node.op_type}): cannot be worked out without knowing the "
                f"batch size: {error}; export with a fixed batch size"
            ) from None
        if holds_batch(value):
            self.batch_sizes[node.outputs[0]] = value
            self.shapes[node.outputs[0]] = value.shape
        else:
            integers = value.dtype == object or value.dtype.kind == "i"
            dtype = np.int64 if integers else value.dtype
            array = np.array(value, dtype, order="C")
            self.add_weight(node.outputs[0], array)

    def _without_batch_size(self, node: Node) -> Node:
        """The node with the batch size in a Reshape's target expressed by 0 or -1."""
        if not self.batch_sizes.keys() & set(node.inputs):
            return node
        try:
            if node.op_type != "Reshape":
                raise ValueError("only Reshape may use it")
            data, target = node.inputs
            value = reshape_target(self.batch_sizes[target], self.shapes[data])
        except ValueError as error:
            raise InvalidModelError(
                f"node {node.name} ({node.op_type}) uses the size of the batch: {error}; export "
                "with a fixed batch size"
            ) from None
        inputs = (data, self.add_weight(f"{node.name}.shape", value))
        return replace(node, inputs=inputs, attributes={"allowzero": 0})

    def _constant(self, node: Node) -> np.ndarray:
        """Value of a Constant or ConstantOfShape node."""
        if node.op_type == "ConstantOfShape":
            shape = self.weights.get(node.inputs[0])
            if shape is None:
                raise InvalidModelError(
                    f"node {node.name} (ConstantOfShape): the shape must be a constant"
                )
            value = node.attributes.get("value", np.zeros(1, np.float32))
            return np.full(tuple(shape), value.reshape(-1)[0], value.dtype)
        if len(node.attributes) != 1 or next(iter(node.attributes)) == "sparse_value":
            raise InvalidModelError(f"node {node.name} (Constant): needs one dense value")
        kind, value = next(iter(node.attributes.items()))
        if kind == "value":
            return np.asarray(value)
        return np.array(value, np.float32 if kind.startswith("value_float") else np.int64)
