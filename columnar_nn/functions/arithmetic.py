"""vec_add, vec_sub, vec_mul and vec_div: arithmetic of two tensors of one shape.

The second one may also hold a single value for each channel, as in squeeze-and-excite; or one
of the two is a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.scale_add import beside_constant, with_any_constant
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.kernels import PythonFunction
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules.operands import Operands


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
    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        if len(values) == 1:
            return _with_constant(operation, assembly, call, values[0])
        first, second = values
        if first.shape == second.shape:
            first, second = assembly.alike(first, second)
        else:
            first, second = assembly.blocked(first), assembly.blocked(second)
        return assembly.apply(kernels.binary(first.layout, second.layout, operation), first, second)

    return assemble


def _divided_by(x: float, divisor: float) -> float:
    return x / divisor


def _divided_into(x: float, dividend: float) -> float:
    return dividend / x


DIVIDED_BY = PythonFunction.of("divided_by", _divided_by)
DIVIDED_INTO = PythonFunction.of("divided_into", _divided_into)


def _with_constant(operation: str, assembly: Assembly, call: Call, value: Value) -> Value:
    (constant,) = call.weights
    source = beside_constant(assembly, value, constant)
    layout, is_first = source.layout, call.inputs[0] is not call.tensors[0]
    if operation == "div":
        kernel = kernels.unary(layout, DIVIDED_INTO if is_first else DIVIDED_BY, constant)
    elif operation == "mul":
        kernel = kernels.scale_add(layout, constant, None)
    elif operation == "add":
        kernel = kernels.scale_add(layout, None, constant)
    elif is_first:
        kernel = kernels.scale_add(layout, np.array([-1.0], np.float32), constant)
    else:
        kernel = kernels.scale_add(layout, None, -constant)
    return assembly.reshaped(assembly.apply(kernel, source), value.shape)


FUNCTIONS = tuple(
    VectorFunction(f"vec_{operation}", shape, _assemble(operation), elements)
    for operation in ("add", "sub", "mul", "div")
)
