"""Expressions with types: checked against the columns they read and the functions there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import Call, Cast, Expression, FieldReference, transform
from columnar_nn.expressions.types import DataType, is_comparable
from columnar_nn.functions import registry
from columnar_nn.functions.network_images import as_tensors


def is_vector_call(expression: Expression) -> TypeGuard[Call]:
    """Whether kernels compute the expression, over whole tensors."""
    return isinstance(expression, Call) and expression.function in registry.VECTOR_FUNCTIONS


def field_type(schema: pa.Schema, name: str) -> DataType:
    """Type of the column `name`; raises InvalidPlanError, naming those that exist."""
    index = schema.get_field_index(name)
    if index < 0:
        if schema.names.count(name) > 1:
            raise InvalidPlanError(f"field {name} is ambiguous: {', '.join(schema.names)}")
        raise InvalidPlanError(
            f"field not found: {name}. Available fields are: {', '.join(schema.names)}."
        )
    return schema.field(index).type


def resolve(
    roots: Sequence[Expression], schema: pa.Schema, widen: bool = False
) -> list[Expression]:
    """The expressions with types, checked against the columns of `schema`.

    Where Velox converts implicitly (integers to a wider type, REAL to DOUBLE) a Cast is put in;
    uint8 tensors given to a vector function become float32 by `pixels_to_float`, which leaves
    columns of other types as they are; with the attribute `shape` it first makes tensors of lists
    and bytes (`as_tensors`). With `widen` numbers of different types become the
    wider one, BIGINT beside REAL or DOUBLE too, as Presto's analyser has it before Velox sees a
    plan. Raises
    InvalidPlanError naming an unknown field or function, or the types that do not fit.
    """
    pixels: dict[int, Expression] = {}

    def as_floats(expression: Expression) -> Expression:
        is_tensor = isinstance(expression.type, pa.FixedShapeTensorType)
        if not is_tensor or expression.type.value_type != pa.uint8():
            return expression
        if id(expression) not in pixels:
            pixels[id(expression)] = _typed_vector_call("pixels_to_float", (expression,), {}, ())
        return pixels[id(expression)]

    def typed(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        if isinstance(expression, FieldReference):
            return FieldReference(expression.name, field_type(schema, expression.name))
        if not isinstance(expression, Call | Cast):
            return expression
        if isinstance(expression, Call) and expression.function == "pixels_to_float":
            (image,) = inputs
            if shape := expression.attributes.get("shape"):
                tensors = as_tensors("the network", image, shape)
                image = image if tensors is image else typed(tensors, (image,))
            return as_floats(image)
        if is_vector_call(expression):
            inputs = tuple(as_floats(source) for source in inputs)
            return _typed_vector_call(
                expression.function, inputs, expression.attributes, expression.nodes
            )
        from columnar_nn.functions import scalar_calls  # which a network alone does not need

        return scalar_calls.typed(expression, inputs, widen)

    return transform(roots, typed)


def _typed_vector_call(
    name: str, inputs: tuple[Expression, ...], attributes: Mapping[str, Any], nodes: tuple[str, ...]
) -> Call:
    call = Call(name, inputs, attributes, nodes)
    return Call(name, inputs, attributes, nodes, registry.VECTOR_FUNCTIONS[name].result_type(call))


def refuse_uncomparable(verb: str, schema: pa.Schema, name: str) -> None:
    """Raises InvalidPlanError for a column that rows cannot be grouped or sorted (`verb`) by."""
    data_type = field_type(schema, name)
    if not is_comparable(data_type):
        held = "tensors" if isinstance(data_type, pa.FixedShapeTensorType) else str(data_type)
        raise InvalidPlanError(f"cannot {verb} by {name}: it holds {held}")
