"""Vector functions of one's own: a Python function, declared, is one like the built-in ones.

    @columnar_nn.vector_function("lisht", onnx="my.ops::Lisht")
    def lisht(x):
        return x * math.tanh(x)

    @columnar_nn.vector_function("l2_normalize", shape=lambda shape: shape)
    def l2_normalize(x, out):
        total = 0.0
        for i in range(x.shape[0]):
            total += x[i] * x[i]
        for i in range(x.shape[0]):
            out[i] = x[i] / math.sqrt(total)

docs/functions.md tells users what such a function may hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from columnar_nn.errors import UsageError
from columnar_nn.functions.declaration import DeclaredFunction, ShapeRule, declare
from columnar_nn.functions.names import check_name, check_text
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.scalar_registry import SCALAR_FUNCTIONS
from columnar_nn.model import batch_axis
from columnar_nn.model.batch_axis import Axis, MixedRowsError
from columnar_nn.model.operators import Operator, declare_operator
from columnar_nn.model.shape_rules import elementwise
from columnar_nn.model.shape_rules.operands import Operands

DECLARED: dict[str, DeclaredFunction] = {}
"""Vector functions that users have declared, by name."""

Function = TypeVar("Function", bound=Callable[..., Any])


def vector_function(
    name: str,
    *,
    onnx: str | None = None,
    shape: ShapeRule | None = None,
    **attributes: float,
) -> Callable[[Function], Function]:
    """Decorator: declares a Python function as the vector function `name`.

    Without `shape` it is a function of an element, f(x, *attributes), that returns a number.
    With it, it is one of a row, f(x, out, *attributes), that writes `out`, whose shape `shape`
    gives of x's. `attributes` are further parameters with their defaults, numbers; calls give
    others by name. `onnx`, as "my.ops::Lisht", is the custom operator that it computes in ONNX
    files. The decorated function stays as it is. Declared again under its name, it is replaced.
    Raises UsageError for a name that is not lower case letters, digits and _, or is a built-in
    function's, for parameters that do not fit, and for what no kernel can hold.
    """
    check_text(name, "vector_function")

    def register(function: Function) -> Function:
        _check_names(name, onnx)
        declared = declare(name, function, attributes, shape, onnx)
        DECLARED[name] = declared
        VECTOR_FUNCTIONS[name] = declared.vector_function()
        if onnx:
            declare_operator(onnx, _operator(declared))
        return function

    return register


def function_of_operator(op_type: str) -> str | None:
    """The name of the declared function that computes an operator, None if there is none."""
    names = (name for name, declared in DECLARED.items() if declared.onnx == op_type)
    return next(names, None)


def _check_names(name: str, onnx: str | None) -> None:
    check_name(name, SCALAR_FUNCTIONS)
    if onnx is not None and not re.fullmatch(r"[\w.]+::\w+", onnx):
        raise UsageError(f"function {name}: onnx={onnx!r} is no operator: write domain::Type")
    other = None if onnx is None else function_of_operator(onnx)
    if other not in (None, name):
        raise UsageError(f"function {name}: {onnx} is computed by {other} already")


def _operator(declared: DeclaredFunction) -> Operator:
    if declared.shape is None:
        rows = batch_axis.first_alone
        return Operator(elementwise.unary, rows, declared.attributes)
    rule = VECTOR_FUNCTIONS[declared.python.name].shape
    return Operator(rule, _first_axis, declared.attributes)


def _first_axis(operands: Operands, axes: Sequence[Axis]) -> int:
    axis = batch_axis.first_alone(operands, axes)
    if axis != 0:
        raise MixedRowsError(f"its rows are along axis {axis}, not the first")
    return axis
