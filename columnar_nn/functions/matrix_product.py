"""matrix_product: ONNX MatMul of the matrices in each row, with a constant or with each other."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import tensor_shape
from columnar_nn.functions import bfloat16
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules import matrix
from columnar_nn.model.shape_rules.operands import Operands


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, ..., M, K] and [N, ..., K, P], of which one may be a constant without N.

    Leading dimensions broadcast.
    """
    if min(len(operands.shape(index)) for index in range(2)) < 2:
        raise InvalidModelError(f"{operands.shape(0)} and {operands.shape(1)} are not matrices")
    ranks = {len(operands.shape(index)) for index in range(2) if operands.constants[index] is None}
    if len(ranks) != 1 or min(ranks) < 3:
        raise InvalidModelError(f"{operands.shape(0)} times {operands.shape(1)} would mix rows")
    return matrix.mat_mul(operands)


def operations(call: Call) -> int:
    """Two for each element of a row of the left matrix, for each element of the result."""
    left = call.inputs[0]
    inner = getattr(left, "array", None)
    size = (tensor_shape(left.type) or (0,))[-1] if inner is None else inner.shape[-1]
    return 2 * size * elements(call)


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel over planar matrices."""
    sources = [assembly.planar(value) for value in values]
    layouts = iter([source.layout for source in sources])
    arrays = (getattr(operand, "array", None) for operand in call.inputs)
    left, right = (next(layouts) if array is None else array for array in arrays)
    if bfloat16.is_bfloat16(call):
        return bfloat16.multiply_matrices(assembly, sources, call.weights[0])
    return assembly.apply(kernels.matrix_product(left, right), *sources)


FUNCTIONS = (VectorFunction("matrix_product", shape, assemble, operations, bfloat16.DEFAULTS),)
