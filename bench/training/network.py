"""A graph on PyTorch's tensors, so that its weights can be learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from columnar_nn.errors import MissingPackageError
from columnar_nn.model.graph import Graph

if TYPE_CHECKING:
    from torch import Tensor

_PARAMETERS = ("Conv", "Gemm", "BatchNormalization")
"""Operators whose second and third inputs are learnt."""


class TrainableNetwork:
    """Runs a graph on tensors: image [N, C, H, W] in, every tensor by name out."""

    def __init__(self, graph: Graph, weights: dict[str, Tensor]) -> None:
        from adapters.network_nodes import network_nodes
        from adapters.pytorch.operators import unsupported_reason
        from adapters.pytorch.registry import OPERATORS

        self._nodes = network_nodes(graph, "PyTorch", OPERATORS, unsupported_reason)
        self._operators = OPERATORS
        self._graph = graph
        self._weights = weights

    def parameters(self) -> list[Tensor]:
        """The weights that are learnt: no statistics, no constants."""
        names = [
            name
            for operands in self._nodes
            if operands.node.op_type in _PARAMETERS
            for name in operands.node.inputs[1:3]
        ]
        return [self._weights[name].requires_grad_() for name in dict.fromkeys(names)]

    def __call__(self, image: Tensor, training: bool = False) -> dict[str, Tensor]:
        """All tensors; when `training`, batches are normalised by their own statistics."""
        tensors = {**self._weights, self._graph.inputs[0].name: image}
        for operands in self._nodes:
            node = operands.node
            inputs = [tensors.get(name) for name in node.inputs]
            if training and node.op_type == "BatchNormalization":
                output = _normalize_batch(node.attributes, inputs)
            else:
                output = self._operators[node.op_type](operands, *inputs)
            tensors[node.outputs[0]] = output
        return tensors


def torch_module() -> Any:
    """PyTorch; raises MissingPackageError if it is not installed."""
    try:
        import torch
    except ImportError:
        raise MissingPackageError("torch", "torch") from None
    return torch


def as_input(images: np.ndarray) -> Tensor:
    """What networks are given: pixel / 255 in float32, or float32 values as they are."""
    scale = np.float32(255 if images.dtype == np.uint8 else 1)
    tensor: Tensor = torch_module().from_numpy(images.astype(np.float32) / scale)
    return tensor


def _normalize_batch(attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Tensor:
    """Batch normalisation by the batch's own statistics, with running means of them kept."""
    x, scale, bias, mean, variance = inputs
    normalized: Tensor = torch_module().nn.functional.batch_norm(
        x, mean, variance, scale, bias, training=True, eps=attributes["epsilon"]
    )
    return normalized
