"""conv_layer: activation(conv2d + bias + residual) in one pass; made by the fusion rewrites."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions import bfloat16, conv2d
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.layer_activation import layer_activation
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules import window
from columnar_nn.model.shape_rules.operands import Operands


def shape(operands: Operands) -> tuple[Shape, ...]:
    """Inputs: image, filters, bias and perhaps a residual of the output's shape."""
    result = window.conv(Operands(operands.node, operands.shapes[:3], operands.constants[:3]))
    if len(operands.shapes) > 3 and operands.shapes[3] != result[0]:
        raise InvalidModelError(f"residual {operands.shapes[3]} is not of shape {result[0]}")
    return result


def operations(call: Call) -> int:
    """The convolution's, and one an element for each of bias, residual and activation."""
    others = 1 + (len(call.tensors) > 1) + ("activation" in call.attributes)
    return conv2d.operations(call) + others * elements(call)


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel that adds and clamps what it is about to store."""
    if bfloat16.is_bfloat16(call):
        given, activation = conv2d.arguments(call), layer_activation(call)
        return bfloat16.convolve(assembly, values, call.weights, given, activation)
    source = conv2d.image(assembly, call, values[0])
    residuals = [conv2d.residual(assembly, call, value) for value in values[1:]]
    filters, bias = call.weights
    kernel = kernels.conv2d(
        source.layout,
        filters,
        bias,
        **conv2d.arguments(call),
        activation=layer_activation(call),
        residual=bool(residuals),
    )
    return assembly.apply(kernel, source, *residuals)


FUNCTIONS = (VectorFunction("conv_layer", shape, assemble, operations, conv2d.DEFAULTS),)
