"""All scalar functions by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.types import DataType
from columnar_nn.functions import images, like, scalar
from columnar_nn.functions.scalar import CompiledFunction, ScalarFunction, SpecialForm

SCALAR_FUNCTIONS: dict[str, ScalarFunction | SpecialForm | CompiledFunction] = {
    **scalar.FUNCTIONS,
    **images.FUNCTIONS,
    **like.FUNCTIONS,
}


def resolve_scalar(
    name: str, types: Sequence[DataType], attributes: Mapping[str, Any]
) -> tuple[list[DataType], DataType]:
    """Types to convert the arguments to, and the type of the result.

    Raises InvalidPlanError when the arguments, or the attributes, do not fit.
    """
    function = SCALAR_FUNCTIONS[name]
    for attribute in attributes:
        if attribute not in function.attributes:
            known = ", ".join(function.attributes) or "none"
            raise InvalidPlanError(f"{name} has no attribute {attribute}: it has {known}")
    return function.resolve(name, types, **attributes)
