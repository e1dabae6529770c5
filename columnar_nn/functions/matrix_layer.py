"""matrix_layer: activation(matrix_product + bias + residual) in one pass; made by the fusions."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions import bfloat16, matrix_product
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.layer_activation import layer_activation
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules.operands import Operands


def shape(operands: Operands) -> tuple[Shape, ...]:
    """Inputs: rows of matrices, a constant matrix, bias and perhaps a residual of the result."""
    factors = Operands(operands.node, operands.shapes[:2], operands.constants[:2])
    result = matrix_product.shape(factors)
    others = (*operands.shapes[2:], result[0])[:2]
    if others != (operands.shape(1)[-1:], result[0]):
        raise InvalidModelError(f"bias and residual {others} do not fit {result[0]}")
    return result


def operations(call: Call) -> int:
    """The product's, and one an element for each of bias, residual and activation."""
    others = 1 + (len(call.tensors) > 1) + ("activation" in call.attributes)
    return matrix_product.operations(call) + others * elements(call)


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel, which finishes what it is about to store."""
    sources = [assembly.planar(value) for value in values]
    matrix, bias = call.weights
    if bfloat16.is_bfloat16(call):
        activation = layer_activation(call)
        return bfloat16.multiply_matrices(assembly, sources, matrix, bias, activation)
    kernel = kernels.matrix_product(
        sources[0].layout, matrix, bias, layer_activation(call), residual=len(sources) > 1
    )
    return assembly.apply(kernel, *sources)


FUNCTIONS = (VectorFunction("matrix_layer", shape, assemble, operations, bfloat16.DEFAULTS),)
