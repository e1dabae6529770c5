"""argmax and argmin: places of extremes along an axis, of a row's features one BIGINT a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import row_size, tensor_shape
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction
from columnar_nn.kernels.softmax import place_of
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules import movement
from columnar_nn.model.shape_rules.operands import Operands, normalized_axis

DEFAULTS = {"keepdims": 0, "select_last_index": 0}
"""Not those of ONNX, whose axis 0 is the batch: without an axis, the place in a row of features."""


def shape(operands: Operands) -> tuple[Shape, ...]:
    """As ONNX ArgMax; `axis` counts from the batch, which is axis 0."""
    source, axis = operands.shape(0), operands.node.attributes.get("axis")
    if axis is None and len(source) != 2:
        raise InvalidModelError(f"features [N, F] are needed, not {source}, or an axis")
    if axis is not None and normalized_axis(axis, len(source)) == 0:
        raise InvalidModelError("axis 0 would mix rows")
    return movement.without(source, 1 if axis is None else axis, operands.attribute("keepdims"))


def operations(call: Call) -> int:
    """One comparison an element."""
    shape = tensor_shape(call.inputs[0].type)
    assert shape is not None
    return row_size(shape)


def _assemble(extreme: str) -> Callable[[Assembly, Call, Sequence[Value]], Value]:
    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        given = {**DEFAULTS, **call.attributes}
        rank = len(values[0].shape)
        axis = normalized_axis(given.get("axis", rank), rank + 1) - 1
        others = [other for other in range(rank) if other != axis]
        source = assembly.transposed(values[0], [*others, axis])
        last = bool(given["select_last_index"])
        result = assembly.apply(place_of(source.layout, extreme, last), source)
        return assembly.reshaped(result, tensor_shape(call.type) or (1,))

    return assemble


FUNCTIONS = tuple(
    VectorFunction(f"arg{extreme}", shape, _assemble(extreme), operations, DEFAULTS, "int64")
    for extreme in ("max", "min")
)
