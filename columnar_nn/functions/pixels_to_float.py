"""pixels_to_float: uint8 pixels as float32 pixel / 255; put in wherever a network reads pixels."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.model.shape_rules import elementwise


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel; planar as the pixels come."""
    return assembly.apply(kernels.pixels_to_float(values[0].layout), values[0])


FUNCTIONS = (VectorFunction("pixels_to_float", elementwise.unary, assemble, elements),)
