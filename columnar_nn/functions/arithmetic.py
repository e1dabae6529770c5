"""vec_add, vec_max, vec_less ...: functions of each element of two tensors of one shape.

The second one may also hold a single value for each channel, as in squeeze-and-excite; or one
of the two is a constant. A truth value is a 1 or a 0, so that masks are tensors like others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.scale_add import direct_layout, with_any_constant
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.kernels import PythonFunction
from columnar_nn.kernels.primitives import where
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules.operands import Operands

OPERATIONS: dict[str, PythonFunction] = {}
REVERSED: dict[str, PythonFunction] = {}
"""Those of them with their arguments the other way round that differ then."""

Function = Callable[[float, float], float]


def _in(table: dict[str, PythonFunction], name: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        table[name] = PythonFunction.of(name, function)
        return function

    return register


@_in(OPERATIONS, "add")
def _add(x: float, y: float) -> float:
    return x + y


@_in(OPERATIONS, "sub")
def _sub(x: float, y: float) -> float:
    return x - y


@_in(REVERSED, "sub")
def _subtracted_from(x: float, y: float) -> float:
    return y - x


@_in(OPERATIONS, "mul")
def _mul(x: float, y: float) -> float:
    return x * y


@_in(OPERATIONS, "div")
def _div(x: float, y: float) -> float:
    return x / y


@_in(REVERSED, "div")
def _divided_into(x: float, y: float) -> float:
    return y / x


@_in(OPERATIONS, "pow")
def _pow(x: float, y: float) -> float:
    power: float = x**y
    return power


@_in(REVERSED, "pow")
def _power_of(x: float, y: float) -> float:
    power: float = y**x
    return power


@_in(OPERATIONS, "max")
def _max(x: float, y: float) -> float:
    """NaN where either is NaN, as in the next."""
    return where(x > y, x, where(y >= x, y, x + y))


@_in(OPERATIONS, "min")
def _min(x: float, y: float) -> float:
    return where(x < y, x, where(y <= x, y, x + y))


@_in(OPERATIONS, "equal")
def _equal(x: float, y: float) -> float:
    return where(x == y, 1.0, 0.0)


@_in(REVERSED, "less")
@_in(OPERATIONS, "greater")
def _greater(x: float, y: float) -> float:
    return where(x > y, 1.0, 0.0)


@_in(REVERSED, "less_or_equal")
@_in(OPERATIONS, "greater_or_equal")
def _greater_or_equal(x: float, y: float) -> float:
    return where(x >= y, 1.0, 0.0)


@_in(REVERSED, "greater")
@_in(OPERATIONS, "less")
def _less(x: float, y: float) -> float:
    return where(x < y, 1.0, 0.0)


@_in(REVERSED, "greater_or_equal")
@_in(OPERATIONS, "less_or_equal")
def _less_or_equal(x: float, y: float) -> float:
    return where(x <= y, 1.0, 0.0)


@_in(OPERATIONS, "and")
def _and(x: float, y: float) -> float:
    return x * y


@_in(OPERATIONS, "or")
def _or(x: float, y: float) -> float:
    return where(x > y, x, y)


@_in(OPERATIONS, "keep")
def _keep(x: float, mask: float) -> float:
    """x where the mask is true, else 0: with the next one, whatever x is, ONNX's Where."""
    return where(mask > 0.5, x, 0.0)


@_in(REVERSED, "keep")
def _kept_of(mask: float, x: float) -> float:
    return where(mask > 0.5, x, 0.0)


@_in(OPERATIONS, "drop")
def _drop(x: float, mask: float) -> float:
    """x where the mask is false, else 0."""
    return where(mask > 0.5, 0.0, x)


@_in(REVERSED, "drop")
def _dropped_of(mask: float, x: float) -> float:
    return where(mask > 0.5, 0.0, x)


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, C, H, W] with the same or [N, C, 1, 1]; other ranks with the same only.

    A constant is [1], [C] or of the shape of a row.
    """
    if any(constant is not None for constant in operands.constants):
        return with_any_constant(operands)
    first, second = operands.shape(0), operands.shape(1)
    by_channel = len(first) == 4 and second == (*first[:2], 1, 1)
    if first != second and not by_channel:
        raise InvalidModelError(f"tensors {first} and {second} do not fit together")
    return (first,)


def _assemble(operation: str) -> Callable[[Assembly, Call, Sequence[Value]], Value]:
    function = OPERATIONS[operation]

    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        if len(values) == 1:
            return _with_constant(operation, assembly, call, values[0])
        first, second = values
        if first.shape == second.shape:
            first, second = assembly.alike(first, second)
        else:
            first, second = assembly.blocked(first), assembly.blocked(second)
        return assembly.apply(kernels.binary(first.layout, second.layout, function), first, second)

    return assemble


def _with_constant(operation: str, assembly: Assembly, call: Call, value: Value) -> Value:
    (constant,) = call.weights
    is_first = call.inputs[0] is not call.tensors[0]
    function = (REVERSED if is_first else {}).get(operation) or OPERATIONS[operation]
    if constant.ndim > 1:
        source = assembly.planar(value)
        return assembly.apply(kernels.binary(source.layout, _end(constant), function), source)
    source = direct_layout(assembly, value)
    layout = source.layout
    if operation == "mul":
        kernel = kernels.scale_add(layout, constant, None)
    elif operation == "add":
        kernel = kernels.scale_add(layout, None, constant)
    else:
        kernel = kernels.unary(layout, function, constant)
    return assembly.apply(kernel, source)


def _end(constant: np.ndarray) -> np.ndarray:
    """A constant along the last axes of a row alone, if it is the same all over the others."""
    while constant.ndim > 1 and (constant == constant[:1]).all():
        constant = constant[0]
    return constant


FUNCTIONS = tuple(
    VectorFunction(f"vec_{operation}", shape, _assemble(operation), elements)
    for operation in OPERATIONS
)
