"""The table of ONNX operators that networks are made of: what is true of each, said once.

Every layer asks here: shape inference, the import, the layers of a network, tolerances, and all
that implement operators. Files in older opsets become opset 21 at import (`model.canonical`);
operators that others express there (Split as Slices) have no line.

CONTRIBUTING.md lists what a new one touches, and `tests/model/test_operators.py` every layer that
one is missing from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from columnar_nn.model import batch_axis
from columnar_nn.model.batch_axis import Axis
from columnar_nn.model.node import Node, Shape
from columnar_nn.model.shape_rules import (
    elementwise,
    matrix,
    movement,
    normalization,
    resize,
    window,
)
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.window import Window

OPSET = 21
"""The version of ONNX's operators that graphs are made of."""


@dataclass(frozen=True)
class Operator:
    """What is true of one operator of opset 21, whoever computes it.

    `shape` gives the shapes of its outputs and raises InvalidModelError; `rows` the axis of the
    output that holds the images of a batch, given those of the inputs (`model.batch_axis`).
    `defaults` are the attributes that may be left out of a file, floats as float32 holds them.
    `window` is the geometry of a window that slides over images, None if there is none.
    """

    shape: Callable[[Operands], tuple[Shape, ...]]
    rows: Callable[[Operands, Sequence[Axis]], int]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    window: Callable[[Operands], Window] | None = None
    sums_products: bool = False
    """Each element is a sum of many products: what costs and what rounds in a network."""
    unary: bool = False
    """A function of each element of one tensor; attributes are all its parameters."""
    renames: bool = False
    """Its output is its input."""
    result: str = "float32"
    """The type of its output."""


def _defaults(**values: Any) -> dict[str, Any]:
    """Attributes as a file holds them, which knows no float64."""
    return {
        name: float(np.float32(value)) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _unary(**defaults: float) -> Operator:
    return Operator(elementwise.unary, batch_axis.first_alone, _defaults(**defaults), unary=True)


_ARITHMETIC = Operator(elementwise.broadcasting, batch_axis.broadcasting)
_TRUTH = replace(_ARITHMETIC, result="bool")
_EXTREME = Operator(
    movement.arg,
    batch_axis.arg,
    {"axis": 0, "keepdims": 1, "select_last_index": 0},
    result="int64",
)
_REDUCTION = Operator(
    movement.reduce_, batch_axis.reduce_, {"keepdims": 1, "noop_with_empty_axes": 0}
)
_SOFTMAX = Operator(elementwise.along_axis, batch_axis.softmax, {"axis": -1})
_RENAMING = Operator(elementwise.unary, batch_axis.first_alone, renames=True)

REDUCTIONS = tuple(
    f"Reduce{name}" for name in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
)
"""Operators that make one number of all those along some axes."""

OPERATORS: dict[str, Operator] = {
    "Abs": _unary(),
    "Add": _ARITHMETIC,
    "And": _TRUTH,
    "ArgMax": _EXTREME,
    "ArgMin": _EXTREME,
    "AveragePool": Operator(
        window.pool,
        batch_axis.pool,
        {"ceil_mode": 0, "count_include_pad": 0},
        window=window.pool_window,
    ),
    "BatchNormalization": Operator(
        elementwise.batch_normalization, batch_axis.of_channels, _defaults(epsilon=1e-5)
    ),
    "Ceil": _unary(),
    "Celu": _unary(alpha=1.0),
    "Clip": Operator(elementwise.clip, batch_axis.first_alone),
    "Concat": Operator(movement.concat, batch_axis.concat),
    "Conv": Operator(
        window.conv,
        batch_axis.conv,
        {"group": 1},
        window=window.conv_window,
        sums_products=True,
    ),
    "ConvTranspose": Operator(
        window.conv_transpose,
        batch_axis.conv,
        {"group": 1},
        window=window.conv_transpose_window,
        sums_products=True,
    ),
    "Div": _ARITHMETIC,
    "Dropout": _RENAMING,
    "Elu": _unary(alpha=1.0),
    "Equal": _TRUTH,
    "Erf": _unary(),
    "Exp": _unary(),
    "Expand": Operator(movement.expand, batch_axis.expand),
    "Flatten": Operator(movement.flatten, batch_axis.flatten, {"axis": 1}),
    "Floor": _unary(),
    "Gather": Operator(movement.gather, batch_axis.gather, {"axis": 0}),
    "Gelu": Operator(elementwise.unary, batch_axis.first_alone, {"approximate": "none"}),
    "Gemm": Operator(
        matrix.gemm,
        batch_axis.gemm,
        {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
        sums_products=True,
    ),
    "GlobalAveragePool": Operator(window.global_pool, batch_axis.pool),
    "Greater": _TRUTH,
    "GreaterOrEqual": _TRUTH,
    "GroupNormalization": Operator(
        normalization.group, batch_axis.of_instances, _defaults(epsilon=1e-5, stash_type=1)
    ),
    "HardSigmoid": _unary(alpha=0.2, beta=0.5),
    "HardSwish": _unary(),
    "Hardmax": _SOFTMAX,
    "Identity": _RENAMING,
    "InstanceNormalization": Operator(
        normalization.instance, batch_axis.of_instances, _defaults(epsilon=1e-5)
    ),
    "LRN": Operator(
        elementwise.lrn, batch_axis.of_channels, _defaults(alpha=1e-4, beta=0.75, bias=1.0)
    ),
    "LayerNormalization": Operator(
        normalization.layer,
        batch_axis.layer_normalization,
        _defaults(axis=-1, epsilon=1e-5, stash_type=1),
    ),
    "LeakyRelu": _unary(alpha=0.01),
    "Less": _TRUTH,
    "LessOrEqual": _TRUTH,
    "Log": _unary(),
    "LogSoftmax": _SOFTMAX,
    "LpNormalization": Operator(elementwise.along_axis, batch_axis.softmax, {"axis": -1, "p": 2}),
    "MatMul": Operator(matrix.mat_mul, batch_axis.mat_mul, sums_products=True),
    "Max": _ARITHMETIC,
    "MaxPool": Operator(window.pool, batch_axis.pool, {"ceil_mode": 0}, window=window.pool_window),
    "MeanVarianceNormalization": Operator(
        normalization.mean_variance, batch_axis.mean_variance, {"axes": [0, 2, 3]}
    ),
    "Min": _ARITHMETIC,
    "Mish": _unary(),
    "Mul": _ARITHMETIC,
    "Neg": _unary(),
    "Not": Operator(elementwise.unary, batch_axis.first_alone, result="bool"),
    "Or": _TRUTH,
    "PRelu": Operator(elementwise.prelu, batch_axis.broadcasting),
    "Pad": Operator(movement.pad, batch_axis.pad, {"mode": "constant"}),
    "Pow": _ARITHMETIC,
    "Reciprocal": _unary(),
    **dict.fromkeys(REDUCTIONS, _REDUCTION),
    "Relu": _unary(),
    "Reshape": Operator(movement.reshape, batch_axis.reshape, {"allowzero": 0}),
    "Resize": Operator(
        resize.resize,
        batch_axis.resize,
        _defaults(
            antialias=0,
            coordinate_transformation_mode="half_pixel",
            cubic_coeff_a=-0.75,
            exclude_outside=0,
            extrapolation_value=0.0,
            keep_aspect_ratio_policy="stretch",
            mode="nearest",
            nearest_mode="round_prefer_floor",
        ),
    ),
    "Round": _unary(),
    "Selu": _unary(alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Sigmoid": _unary(),
    "Sign": _unary(),
    "Slice": Operator(movement.slice_, batch_axis.slice_),
    "Softmax": _SOFTMAX,
    "Softplus": _unary(),
    "Softsign": _unary(),
    "Sqrt": _unary(),
    "Squeeze": Operator(movement.squeeze, batch_axis.squeeze),
    "Sub": _ARITHMETIC,
    "Tanh": _unary(),
    "ThresholdedRelu": _unary(alpha=1.0),
    "Tile": Operator(movement.tile, batch_axis.tile),
    "Transpose": Operator(movement.transpose, batch_axis.transpose),
    "Unsqueeze": Operator(movement.unsqueeze, batch_axis.unsqueeze),
    "Where": _ARITHMETIC,
}
"""Operators by ONNX's name: all that a graph may hold. A custom one is called domain::Type."""

SUMMING = frozenset(name for name, operator in OPERATORS.items() if operator.sums_products)
UNARY = frozenset(name for name, operator in OPERATORS.items() if operator.unary)
RENAMING = frozenset(name for name, operator in OPERATORS.items() if operator.renames)


def is_custom(op_type: str) -> bool:
    """Whether an operator is none of ONNX's, but one that a user has declared."""
    return "::" in op_type


def declare_operator(op_type: str, operator: Operator) -> None:
    """Adds a custom operator, domain::Type, or replaces it."""
    assert is_custom(op_type)
    OPERATORS[op_type] = operator


def with_defaults(node: Node) -> Node:
    """The node with the attributes that it leaves out; one of no known operator as it is."""
    operator = OPERATORS.get(node.op_type)
    if operator is None or operator.defaults.keys() <= node.attributes.keys():
        return node
    return replace(node, attributes={**operator.defaults, **node.attributes})


Function = TypeVar("Function", bound=Callable[..., Any])


class Implementations(dict[str, Function]):
    """What a layer computes each operator with: functions registered where they are written."""

    def implements(self, *op_types: str) -> Callable[[Function], Function]:
        """Decorates the function that implements these operators."""

        def register(function: Function) -> Function:
            assert self.keys().isdisjoint(op_types), f"implemented twice: {op_types}"
            self.update(dict.fromkeys(op_types, function))
            return function

        return register
