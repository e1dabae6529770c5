"""Element-wise functions of one tensor: relu and its relatives, under ONNX's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.scale_add import beside_constant, direct_layout, with_any_constant
from columnar_nn.functions.vector_function import VectorFunction, elements, function_name
from columnar_nn.kernels import PythonFunction
from columnar_nn.model.operators import OPERATORS, UNARY
from columnar_nn.model.shape_rules import elementwise


def function_of_elements(
    name: str, operation: str | PythonFunction, defaults: Mapping[str, Any]
) -> VectorFunction:
    """A function of each element, built in or of one's own, by kernels.unary.

    Its constants are the attributes, in the order of `defaults`.
    """

    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        source = direct_layout(assembly, values[0])
        given = {**defaults, **call.attributes}
        constants = [given[attribute] for attribute in defaults]
        return assembly.apply(kernels.unary(source.layout, operation, *constants), source)

    return VectorFunction(name, elementwise.unary, assemble, elements, defaults)


def _prelu(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    (slope,) = call.weights
    source = beside_constant(assembly, values[0], slope)
    result = assembly.apply(kernels.unary(source.layout, "prelu", slope), source)
    return assembly.reshaped(result, values[0].shape)


FUNCTIONS = (
    *(
        function_of_elements(name, name, OPERATORS[op_type].defaults)
        for op_type in sorted(UNARY)
        if (name := function_name(op_type)) in kernels.UNARY
    ),
    function_of_elements("clip", "clip", {"min": float("-inf"), "max": float("inf")}),
    VectorFunction("prelu", with_any_constant, _prelu, elements),
)
