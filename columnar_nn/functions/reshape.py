"""reshape: the elements of each row under another shape; flatten is its most common form."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import row_size
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, no_operations
from columnar_nn.model.graph import Shape
from columnar_nn.model.shape_rules.operands import Operands


def _flatten_shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, ...] becomes [N, features]."""
    return ((operands.shape(0)[0], row_size(_fixed(operands.shape(0)))),)


def _reshape_shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, ...] becomes [N, *shape], the attribute `shape` being that of one row."""
    target = tuple(operands.node.attributes["shape"])
    if row_size(target) != row_size(_fixed(operands.shape(0))):
        raise InvalidModelError(f"{operands.shape(0)} cannot become rows of shape {target}")
    return ((operands.shape(0)[0], *target),)


def _fixed(shape: Shape) -> tuple[int, ...]:
    return tuple(dimension for dimension in shape[1:] if dimension is not None)


def _flatten(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    return assembly.reshaped(values[0], (row_size(values[0].shape),))


def _reshape(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    return assembly.reshaped(values[0], tuple(call.attributes["shape"]))


FUNCTIONS = (
    VectorFunction("flatten", _flatten_shape, _flatten, no_operations),
    VectorFunction("reshape", _reshape_shape, _reshape, no_operations),
)
