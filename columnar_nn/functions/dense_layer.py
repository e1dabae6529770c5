"""dense_layer: activation(mat_mul + bias) in one pass; made by the fusion rewrites."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions import bfloat16, mat_mul
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.layer_activation import layer_activation
from columnar_nn.functions.vector_function import VectorFunction, elements


def operations(call: Call) -> int:
    """The product's, and one an element for each of bias and activation."""
    return mat_mul.operations(call) + (1 + ("activation" in call.attributes)) * elements(call)


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel, which reads a flattened nchw16c image as it lies: the matrix is permuted."""
    matrix, bias = call.weights
    if bfloat16.is_bfloat16(call):
        return bfloat16.multiply(assembly, values[0], matrix, bias, layer_activation(call))
    kernel = kernels.dense(values[0].layout, matrix, bias, layer_activation(call))
    return assembly.apply(kernel, values[0])


FUNCTIONS = (VectorFunction("dense_layer", mat_mul.shape, assemble, operations, bfloat16.DEFAULTS),)
