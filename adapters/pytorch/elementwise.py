"""Operators of each element in PyTorch; see `operators`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows it by
from torch import Tensor

from adapters.pytorch.registry import implements
from columnar_nn.model.operators import OPERATORS as ONNX_OPERATORS
from columnar_nn.model.shape_rules.operands import Operands

_OF_TENSORS: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "And": torch.logical_and,
    "Ceil": torch.ceil,
    "Div": torch.div,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "HardSwish": F.hardswish,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Log": torch.log,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Mish": F.mish,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Or": torch.logical_or,
    "Pow": torch.pow,
    "Reciprocal": torch.reciprocal,
    "Relu": F.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
    "Where": torch.where,
}
"""Those without attributes: functions of their inputs."""


def _of_tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda node, *inputs: function(*inputs)


for _op_type, _function in _OF_TENSORS.items():
    implements(_op_type)(_of_tensors(_function))


@implements("Elu")
def elu(node: Operands, x: Tensor) -> Tensor:
    return F.elu(x, node.attribute("alpha"))


@implements("Selu")
def selu(node: Operands, x: Tensor) -> Tensor:
    if node.node.attributes == ONNX_OPERATORS["Selu"].defaults:
        return F.selu(x)
    return node.attribute("gamma") * F.elu(x, node.attribute("alpha"))


@implements("LeakyRelu")
def leaky_relu(node: Operands, x: Tensor) -> Tensor:
    return F.leaky_relu(x, node.attribute("alpha"))


@implements("PRelu")
def prelu(node: Operands, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, slope * x, x)


@implements("Clip")
def clip(
    node: Operands, x: Tensor, low: Tensor | None = None, high: Tensor | None = None
) -> Tensor:
    bounds = (node.constant(1, "min"), node.constant(2, "max"))
    lowest, highest = (None if bound is None else float(bound.item()) for bound in bounds)
    return x if lowest is None and highest is None else torch.clamp(x, lowest, highest)


@implements("HardSigmoid")
def hard_sigmoid(node: Operands, x: Tensor) -> Tensor:
    alpha, beta = node.attribute("alpha"), node.attribute("beta")
    if np.float32(alpha) == np.float32(1 / 6) and beta == 0.5:
        return F.hardsigmoid(x)
    return torch.clamp(alpha * x + beta, 0.0, 1.0)


@implements("Celu")
def celu(node: Operands, x: Tensor) -> Tensor:
    return F.celu(x, node.attribute("alpha"))


@implements("Gelu")
def gelu(node: Operands, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=node.attribute("approximate"))


@implements("ThresholdedRelu")
def thresholded_relu(node: Operands, x: Tensor) -> Tensor:
    return F.threshold(x, node.attribute("alpha"), 0.0)
