"""A graph as a PyTorch module: straight-line calls of torch functions, recorded by torch.fx."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adapters.network_nodes import network_nodes
from adapters.pytorch.operators import unsupported_reason
from adapters.pytorch.registry import OPERATORS
from columnar_nn.model.graph import Graph

NODE = "network_node"


def network(graph: Graph) -> torch.fx.GraphModule:
    """The module for `graph`: a tensor [N, ...] for each input in, tuple of its outputs out.

    Weights are buffers; a tensor is freed after its last use. Each call's `meta` has the name of
    the graph's node that it belongs to, as NODE. Raises UnsupportedOperatorError.
    """
    interpreter = _Interpreter(graph)
    tracer = _Tracer(len(graph.inputs))
    return torch.fx.GraphModule(interpreter, tracer.trace(interpreter))


class _Tracer(torch.fx.Tracer):  # type: ignore[misc]
    """Records a forward of any number of tensors; by itself fx takes them for one argument."""

    def __init__(self, num_inputs: int) -> None:
        super().__init__()
        self._num_inputs = num_inputs

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        names = [f"input_{place}" for place in range(self._num_inputs)]
        inputs = [self.create_proxy("placeholder", name, (), {}) for name in names]
        return root_fn, [self.root, *inputs]


class _Interpreter(nn.Module):  # type: ignore[misc]
    """Runs a graph node by node; fx records what that calls, and the interpretation is gone."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._nodes = network_nodes(graph, "pytorch", OPERATORS, unsupported_reason)
        self._inputs = [spec.name for spec in graph.inputs]
        self._outputs = [spec.name for spec in graph.outputs]
        self._buffer_names: dict[str, str] = {}
        for index, (name, weight) in enumerate(graph.weights.items()):
            # Integers are parameters of their node: shapes, axes, pads.
            if weight.dtype in (np.float32, np.bool_):
                self._buffer_names[name] = f"weight_{index}"
                self.register_buffer(f"weight_{index}", torch.tensor(weight))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        tensors: dict[str, Tensor] = dict(zip(self._inputs, inputs, strict=True))
        for name, buffer in self._buffer_names.items():
            tensors[name] = getattr(self, buffer)
        for operands in self._nodes:
            node = operands.node
            read = [tensors.get(name) for name in node.inputs]
            output = OPERATORS[node.op_type](operands, *read)
            tensors[node.outputs[0]] = output
            if isinstance(output, torch.fx.Proxy):
                for call in output.tracer.graph.nodes:
                    call.meta.setdefault(NODE, node.name)
        return tuple(tensors[name] for name in self._outputs)
