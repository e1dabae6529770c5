"""Casts and calls of scalar functions with types: checked, arguments converted as Velox does."""

from __future__ import annotations

from difflib import get_close_matches

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import Call, Cast, Expression
from columnar_nn.expressions.types import type_name
from columnar_nn.functions import registry
from columnar_nn.functions.casts import is_castable
from columnar_nn.functions.scalar import CompiledFunction, of_one_type
from columnar_nn.functions.scalar_registry import SCALAR_FUNCTIONS, resolve_scalar


def typed(expression: Call | Cast, inputs: tuple[Expression, ...], widen: bool) -> Expression:
    """The cast or call over `inputs`, which have types; see `resolve.resolve`."""
    if isinstance(expression, Call):
        return _typed_call(expression, inputs, widen)
    if not is_castable(inputs[0].type, expression.type):
        source, target = (type_name(kind) for kind in (inputs[0].type, expression.type))
        raise InvalidPlanError(f"cannot cast {source} to {target}")
    return Cast(inputs[0], expression.type)


def _typed_call(call: Call, inputs: tuple[Expression, ...], widen: bool) -> Expression:
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


def _no_function(name: str) -> InvalidPlanError:
    from columnar_nn.model import zoo  # only where a name is wrong

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
