"""Scalar functions of one's own: a Python function, declared, is one like the built-in ones.

    @columnar_nn.scalar_function("bucket")
    def bucket(x: float, width: float) -> int:
        return int(x / width)

docs/functions.md tells users what such a function may hold.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.errors import InvalidPlanError, UsageError
from columnar_nn.expressions.types import FLOATS, INTEGERS, DataType, type_name
from columnar_nn.functions import row_errors
from columnar_nn.functions.names import check_name, check_text
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.row_errors import Rows
from columnar_nn.functions.scalar import CompiledFunction, check_count, widened
from columnar_nn.functions.scalar_registry import SCALAR_FUNCTIONS
from columnar_nn.kernels import ColumnFunction, Kind, PythonFunction
from columnar_nn.kernels.columns import ARROW_TYPES

Function = TypeVar("Function", bound=Callable[..., Any])


def scalar_function(name: str) -> Callable[[Function], Function]:
    """Decorator: declares a Python function as the scalar function `name`.

    Each parameter and the result are annotated with bool, int or float, BOOLEAN, BIGINT or DOUBLE;
    narrower arguments are converted. Where an argument is null so is the result, uncomputed, but
    for a parameter that is annotated `int | None`, which then is None; a result that is so
    annotated may be None. The decorated function stays as it is. Declared again under its name, it
    is replaced. Raises UsageError for a name that is not lower case letters, digits and _, or is
    another function's, for annotations that are no such types, and for what no kernel can hold.
    """
    check_text(name, "scalar_function")

    def register(function: Function) -> Function:
        check_name(name, VECTOR_FUNCTIONS)
        python = PythonFunction.of(name, function)
        declared = ColumnFunction(python, *_signature(name, function))
        SCALAR_FUNCTIONS[name] = _scalar_function(declared)
        return function

    return register


def _signature(name: str, function: Callable[..., Any]) -> tuple[tuple[Kind, ...], Kind]:
    """The kinds of its parameters, and that of its result."""
    parameters = list(inspect.signature(function).parameters.values())
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise UsageError(f"function {name}: {error}: use bool, int, float") from None
    for parameter in parameters:
        plain = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if not plain or parameter.default is not parameter.empty:
            raise UsageError(
                f"function {name}: parameter {parameter.name} has a default, or is no plain one: "
                "declare plain parameters"
            )
    kinds = [_kind(name, hints, parameter.name) for parameter in parameters]
    return tuple(kinds), _kind(name, hints, "return")


def _kind(name: str, hints: dict[str, Any], parameter: str) -> Kind:
    hint = hints.get(parameter)
    members = [hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
    known = getattr(members[0], "__name__", "")
    if len(members) != 1 or members[0] not in (bool, int, float):
        where = "its result" if parameter == "return" else f"parameter {parameter}"
        what = "nothing" if hint is None else str(getattr(hint, "__name__", hint))
        raise UsageError(
            f"function {name}: {where} is annotated with {what}: use bool, int or float, perhaps "
            "`| None`"
        )
    return Kind(known, members[0] is not hint)


def _scalar_function(declared: ColumnFunction) -> CompiledFunction:
    wanted = [ARROW_TYPES[kind.name] for kind in declared.parameters]

    def resolve(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
        check_count(name, types, len(wanted))
        if not all(map(_converts, types, wanted)):
            listed, taken = (", ".join(map(type_name, each)) for each in (types, wanted))
            raise InvalidPlanError(
                f"function signature is not supported: {name}({listed}); cast the arguments to "
                f"({taken})"
            )
        return wanted, ARROW_TYPES[declared.result.name]

    called_for_nulls = any(kind.optional for kind in declared.parameters)

    def rows(*inputs: Rows) -> Rows:
        given = None if called_for_nulls else row_errors.failures_without_nulls(inputs)
        before, reason = row_errors.either(inputs, given)
        values, failed, own_reason = declared.compute(*(rows_of.values for rows_of in inputs))
        if before is None:
            return Rows(values, failed, own_reason)
        both = before if failed is None else pc.or_(before, failed)
        return Rows(row_errors.nulled(both, values), both, reason)

    return CompiledFunction(resolve, rows, declared.load)


def _converts(given: DataType, wanted: DataType) -> bool:
    """Whether Velox converts a type to another without being asked."""
    if given in (wanted, pa.null()):
        return True
    if wanted == pa.int64():
        return widened(given) in INTEGERS
    return wanted == pa.float64() and widened(given) in (*FLOATS, *INTEGERS[:3])
