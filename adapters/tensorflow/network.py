"""A graph as a function of TensorFlow tensors, to be traced by tf.function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from adapters.network_nodes import network_nodes
from adapters.tensorflow.operators import unsupported_reason
from adapters.tensorflow.registry import OPERATORS
from adapters.tensorflow.tensor import Tensor, channels_last
from columnar_nn.model.graph import Graph


def network(graph: Graph) -> Callable[..., list[Any]]:
    """The function for `graph`: inputs with channels last in, outputs in ONNX's order out.

    Weights become constants of the trace. Raises UnsupportedOperatorError.
    """
    nodes = network_nodes(graph, "tensorflow", OPERATORS, unsupported_reason)
    # Integers are parameters of their node: shapes, axes, pads.
    used = (np.float32, np.bool_)
    weights = {name: Tensor(w) for name, w in graph.weights.items() if w.dtype in used}

    def forward(*inputs: Any) -> list[Any]:
        given = dict(zip(graph.columns, map(channels_last, inputs), strict=True))
        tensors: dict[str, Tensor] = {**weights, **given}
        for index, operands in enumerate(nodes):
            node = operands.node
            read = [tensors.get(name) for name in node.inputs]
            with tf.name_scope(f"node{index}"):  # by which a profile knows it
                tensors[node.outputs[0]] = OPERATORS[node.op_type](operands, *read)
        return [tensors[spec.name].in_onnx_order() for spec in graph.outputs]

    return forward
