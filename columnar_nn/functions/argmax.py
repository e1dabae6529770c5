"""argmax: index of the greatest feature of a row, the first of equal ones, as BIGINT."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import row_size, tensor_shape
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules.operands import Operands


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, features] as it is; the result is not a tensor but one BIGINT a row."""
    if len(operands.shape(0)) != 2:
        raise InvalidModelError(f"features [N, F] are needed, not {operands.shape(0)}")
    return (operands.shape(0),)


def operations(call: Call) -> int:
    """One comparison a feature."""
    shape = tensor_shape(call.inputs[0].type)
    assert shape is not None
    return row_size(shape)


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel."""
    source = assembly.planar(values[0])
    return assembly.apply(kernels.argmax(source.layout), source)


FUNCTIONS = (VectorFunction("argmax", shape, assemble, operations, result="int64"),)
