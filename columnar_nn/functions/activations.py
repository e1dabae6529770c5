"""Element-wise functions of one tensor: relu and its relatives, under ONNX's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.scale_add import beside_constant, direct_layout, with_any_constant
from columnar_nn.functions.vector_function import VectorFunction, elements, function_name
from columnar_nn.model.operators import OPERATORS, UNARY
from columnar_nn.model.shape_rules import elementwise


def _unary(
    name: str, defaults: Mapping[str, Any]
) -> Callable[[Assembly, Call, Sequence[Value]], Value]:
    """Assembles kernels.unary with the attributes in the order of `defaults` as constants."""

    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        source = direct_layout(assembly, values[0])
        given = {**defaults, **call.attributes}
        constants = [given[attribute] for attribute in defaults]
        return assembly.apply(kernels.unary(source.layout, name, *constants), source)

    return assemble


def _function(name: str, defaults: Mapping[str, Any]) -> VectorFunction:
    return VectorFunction(name, elementwise.unary, _unary(name, defaults), elements, defaults)


def _prelu(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    (slope,) = call.weights
    source = beside_constant(assembly, values[0], slope)
    result = assembly.apply(kernels.unary(source.layout, "prelu", slope), source)
    return assembly.reshaped(result, values[0].shape)


FUNCTIONS = (
    *(
        _function(name, OPERATORS[op_type].defaults)
        for op_type in sorted(UNARY)
        if (name := function_name(op_type)) in kernels.UNARY
    ),
    _function("clip", {"min": float("-inf"), "max": float("inf")}),
    VectorFunction("prelu", with_any_constant, _prelu, elements),
)
