"""mat_mul: the features of each row times a constant matrix [outputs, inputs], transposed."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions import bfloat16
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules.operands import Operands


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, inputs] and [outputs, inputs] give [N, outputs]."""
    features, matrix = operands.shape(0), operands.shape(1)
    if len(features) != 2 or len(matrix) != 2 or features[1] != matrix[1]:
        raise InvalidModelError(f"features {features} do not fit the matrix {matrix}")
    return ((features[0], matrix[0]),)


def operations(call: Call) -> int:
    """Two for each weight."""
    return 2 * int(call.weights[0].size)


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel, which reads a flattened nchw16c image as it lies: the matrix is permuted."""
    if bfloat16.is_bfloat16(call):
        return bfloat16.multiply(assembly, values[0], call.weights[0])
    return assembly.apply(kernels.dense(values[0].layout, call.weights[0]), values[0])


FUNCTIONS = (VectorFunction("mat_mul", shape, assemble, operations, bfloat16.DEFAULTS),)
