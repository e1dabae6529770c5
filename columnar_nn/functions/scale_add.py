"""vec_scal_add, vec_scal_mul and mat_add: a constant for each channel, or one for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules.operands import Operands


def shape(operands: Operands) -> tuple[Shape, ...]:
    """Tensors [N, C, ...] and a constant of shape [C] or [1]; of rows of one number [N] and [1]."""
    tensor, constant = operands.shape(0), operands.shape(1)
    if constant not in ((1,), tensor[1:2]):
        raise InvalidModelError(f"constants {constant} for {tensor}: one, or one a channel")
    return (tensor,)


def direct_layout(assembly: Assembly, value: Value) -> Value:
    """The value under its own shape, blocked if it is a blocked image."""
    if len(value.shape) == 3 and value.is_blocked:
        return assembly.blocked(value)
    return assembly.planar(value)


def with_any_constant(operands: Operands) -> tuple[Shape, ...]:
    """A tensor [N, C, ...] and a constant of shape [1], [C] or [C, ...], on either side."""
    index = [constant is None for constant in operands.constants].index(True)
    tensor, constant = operands.shape(index), operands.shape(1 - index)
    if constant not in ((1,), tensor[1:2], tensor[1:]):
        raise InvalidModelError(
            f"constants {constant} for {tensor}: one, one a channel, or one an element"
        )
    return (tensor,)


def beside_constant(assembly: Assembly, value: Value, constant: np.ndarray) -> Value:
    """The value as kernels take it with a constant: flat if there is one an element."""
    if constant.ndim == 1:
        return direct_layout(assembly, value)
    return assembly.planar(assembly.reshaped(assembly.planar(value), (constant.size,)))


def _add(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    source = direct_layout(assembly, values[0])
    return assembly.apply(kernels.scale_add(source.layout, None, call.weights[0]), source)


def _multiply(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    source = direct_layout(assembly, values[0])
    return assembly.apply(kernels.scale_add(source.layout, call.weights[0], None), source)


FUNCTIONS = (
    VectorFunction("vec_scal_add", shape, _add, elements),
    VectorFunction("vec_scal_mul", shape, _multiply, elements),
    VectorFunction("mat_add", shape, _add, elements),
)
