"""Operators that combine the elements along axes, in PyTorch; see `operators`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows it by
from torch import Tensor

from adapters.network_nodes import reduced_axes
from adapters.pytorch.registry import implements
from columnar_nn.model.shape_rules.operands import Operands


class Reduction(NamedTuple):
    """What is done to each element, over axes, and to each result."""

    over: Callable[..., Tensor]
    each: Callable[[Tensor], Tensor] | None = None
    finish: Callable[[Tensor], Tensor] | None = None


def _product(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):  # PyTorch takes one at a time
        x = torch.prod(x, axis, keepdim)
    return x


REDUCTIONS = {
    "ReduceL1": Reduction(torch.sum, torch.abs),
    "ReduceL2": Reduction(torch.sum, torch.square, torch.sqrt),
    "ReduceMax": Reduction(torch.amax),
    "ReduceMean": Reduction(torch.mean),
    "ReduceMin": Reduction(torch.amin),
    "ReduceProd": Reduction(_product),
    "ReduceSum": Reduction(torch.sum),
    "ReduceSumSquare": Reduction(torch.sum, torch.square),
}


@implements(*REDUCTIONS)
def reduce_(node: Operands, x: Tensor, axes: Tensor | None = None) -> Tensor:
    over, each, finish = REDUCTIONS[node.node.op_type]
    reduced = reduced_axes(node)
    x = each(x) if each else x
    x = over(x, reduced, bool(node.attribute("keepdims"))) if reduced else x
    return finish(x) if finish else x


@implements("ArgMax", "ArgMin")
def arg(node: Operands, x: Tensor) -> Tensor:
    place = torch.argmax if node.node.op_type == "ArgMax" else torch.argmin
    axis, keepdims = node.attribute("axis"), bool(node.attribute("keepdims"))
    if not node.attribute("select_last_index"):
        return place(x, axis, keepdims)
    return node.shape(0)[axis] - 1 - place(x.flip(axis), axis, keepdims)


@implements("Hardmax")
def hardmax(node: Operands, x: Tensor) -> Tensor:
    axis = node.attribute("axis")
    return torch.zeros_like(x).scatter(axis, torch.argmax(x, axis, True), 1.0)


@implements("LpNormalization")
def lp_normalization(node: Operands, x: Tensor) -> Tensor:
    tiny = torch.finfo(torch.float32).tiny  # 0 over 0 is 0
    return F.normalize(x, float(node.attribute("p")), node.attribute("axis"), tiny)


@implements("Softmax")
def softmax(node: Operands, x: Tensor) -> Tensor:
    return F.softmax(x, dim=node.attribute("axis"))


@implements("LogSoftmax")
def log_softmax(node: Operands, x: Tensor) -> Tensor:
    return F.log_softmax(x, dim=node.attribute("axis"))
