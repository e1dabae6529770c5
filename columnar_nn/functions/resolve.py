"""Expressions with types: checked against the columns they read and the functions there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import Call, Cast, Expression, FieldReference, transform
from columnar_nn.expressions.types import DataType, type_name
from columnar_nn.functions import images, like, registry  # noqa: F401 - like registers one
from columnar_nn.functions.casts import is_castable
from columnar_nn.functions.scalar import (
    SCALAR_FUNCTIONS,
    CompiledFunction,
    of_one_type,
    resolve_scalar,
)


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
    and bytes (`images.as_tensors`). With `widen` numbers of different types become the
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
        if isinstance(expression, Cast):
            if not is_castable(inputs[0].type, expression.type):
                source, target = (type_name(kind) for kind in (inputs[0].type, expression.type))
                raise InvalidPlanError(f"cannot cast {source} to {target}")
            return Cast(inputs[0], expression.type)
        if not isinstance(expression, Call):
            return expression
        if expression.function == "pixels_to_float":
            (image,) = inputs
            if shape := expression.attributes.get("shape"):
                tensors = images.as_tensors("the network", image, shape)
                image = image if tensors is image else typed(tensors, (image,))
            return as_floats(image)
        if is_vector_call(expression):
            inputs = tuple(as_floats(source) for source in inputs)
            return _typed_vector_call(
                expression.function, inputs, expression.attributes, expression.nodes
            )
        return _typed_scalar_call(expression, inputs, widen)

    return transform(roots, typed)


def _typed_vector_call(
    name: str, inputs: tuple[Expression, ...], attributes: Mapping[str, Any], nodes: tuple[str, ...]
) -> Call:
    call = Call(name, inputs, attributes, nodes)
    return Call(name, inputs, attributes, nodes, registry.VECTOR_FUNCTIONS[name].result_type(call))


def _no_function(name: str) -> InvalidPlanError:
    from difflib import get_close_matches  # only where a name is wrong

    from columnar_nn.model import zoo

    if name in zoo.BUILDERS:
        return InvalidPlanError(
            f'no function {name}: a network is an expression, network("{name}", "image")'
        )
    known = [*registry.VECTOR_FUNCTIONS, *SCALAR_FUNCTIONS]
    meant = "".join(f"did you mean {each}? " for each in get_close_matches(name, known, 1, 0.7))
    return InvalidPlanError(
        f"no function {name}: {meant}vector functions are {', '.join(registry.VECTOR_FUNCTIONS)}; "
        f"scalar functions are {', '.join(SCALAR_FUNCTIONS)}"
    )


def _typed_scalar_call(call: Call, inputs: tuple[Expression, ...], widen: bool) -> Expression:
    name = call.function
    if name not in SCALAR_FUNCTIONS:
        raise _no_function(name)
    types = [source.type for source in inputs]
    if widen and not isinstance(SCALAR_FUNCTIONS[name], CompiledFunction):
        types = of_one_type(types)
    wanted, result = resolve_scalar(name, types, call.attributes)
    coerced = tuple(
        source if source.type == target else Cast(source, target)
        for source, target in zip(inputs, wanted, strict=True)
    )
    return Call(name, coerced, call.attributes, type=result)
