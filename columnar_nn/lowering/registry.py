"""What a lowering is: operands and computed inputs in, an expression of the node out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from columnar_nn.expressions.expression import Call, Expression, Weight
from columnar_nn.model.operators import REDUCTIONS, Implementations
from columnar_nn.model.shape_rules.operands import Operands

Lowering = Callable[[Operands, list[Expression]], Expression]
"""Makes an expression of a node's operands and its computed inputs; raises Gap if none does."""

LOWERINGS: Implementations[Lowering] = Implementations()
"""ONNX operator to its lowering, of modules that are imported: `lowering.network` imports most."""

WHEN_MET = {
    **dict.fromkeys((*REDUCTIONS, "ArgMax", "ArgMin", "LpNormalization", "LRN"), "along_axes"),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), "along_axes"),
    "ConvTranspose": "conv_transpose",
    **dict.fromkeys(
        (
            "GroupNormalization",
            "InstanceNormalization",
            "LayerNormalization",
            "MeanVarianceNormalization",
        ),
        "normalization",
    ),
    "Resize": "resize",
}
"""The module of each operator that is imported when a network first has it."""

lowers = LOWERINGS.implements


class Gap(Exception):  # noqa: N818 - what is missing, not what went wrong
    """Why an operator, with these operands, cannot be said in vector functions."""


def lowering_of(op_type: str) -> Lowering:
    """What makes the expression of an operator's nodes; raises Gap if nothing does."""
    if op_type in WHEN_MET and op_type not in LOWERINGS:
        import_module(f"{__package__}.{WHEN_MET[op_type]}")
    if op_type in LOWERINGS:
        return LOWERINGS[op_type]
    from columnar_nn.functions.declared import function_of_operator  # few networks need one

    declared = function_of_operator(op_type)
    if declared is None:
        raise Gap("no vector function computes it")

    def lowering(operands: Operands, inputs: list[Expression]) -> Expression:
        need_one_tensor(operands, inputs)
        return call(operands, declared, inputs, **operands.node.attributes)

    return lowering


def call(
    operands: Operands,
    function: str,
    inputs: list[Expression],
    weights: Mapping[str, np.ndarray] | None = None,
    **attributes: Any,
) -> Call:
    """A call that computes the node; `weights` by what they are to it."""
    node = operands.node
    constants = [Weight(f"{node.name}.{role}", array) for role, array in (weights or {}).items()]
    return Call(function, (*inputs, *constants), attributes, (node.name,))


def need_one_tensor(operands: Operands, inputs: list[Expression]) -> None:
    if len(inputs) != 1 or operands.constants[0] is not None:
        raise Gap("only its first input may be computed")
