"""Operators in PyTorch that normalise by statistics of the tensor itself; see `operators`."""

from __future__ import annotations

import torch
from torch import Tensor

from adapters.pytorch.registry import implements
from columnar_nn.model.shape_rules.operands import Operands, fixed, normalized_axis


@implements("LayerNormalization")
def layer_normalization(
    node: Operands, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> Tensor:
    shape = node.shape(0)
    axis = normalized_axis(node.attribute("axis"), len(shape))
    normalized = [fixed(size, "a normalised dimension") for size in shape[axis:]]
    weight = scale.expand(normalized)
    offset = None if bias is None else bias.expand(normalized)
    return torch.layer_norm(x, normalized, weight, offset, node.attribute("epsilon"))


@implements("GroupNormalization")
def group_normalization(node: Operands, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups, epsilon = node.attribute("num_groups"), node.attribute("epsilon")
    return torch.group_norm(x, groups, scale, bias, epsilon)


@implements("InstanceNormalization")
def instance_normalization(node: Operands, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    epsilon = node.attribute("epsilon")
    return torch.instance_norm(x, scale, bias, None, None, True, 0.0, epsilon, False)


@implements("MeanVarianceNormalization")
def mean_variance_normalization(node: Operands, x: Tensor) -> Tensor:
    axes = node.attribute("axes")
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred * centred).mean(axes, keepdim=True).sqrt() + 1e-9)
