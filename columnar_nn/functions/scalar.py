"""Functions of scalar columns, for filters and projections: Velox's names and type rules.

They are computed by pyarrow.compute. As in Velox's Presto functions, integer arithmetic that
overflows and division of integers by zero are errors, and nulls propagate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.types import DataType

INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
FLOATS = (pa.float32(), pa.float64())


@dataclass(frozen=True)
class ScalarFunction:
    """What the arguments must become and what comes out; and the computation on Arrow arrays.

    `resolve(name, types)` gives (types of the coerced arguments, type of the result).
    """

    resolve: Callable[[str, Sequence[DataType]], tuple[list[DataType], DataType]]
    compute: Callable[..., Any]


def _widened(data_type: DataType) -> DataType:
    """The smallest signed type that holds every value; Velox has no unsigned integers."""
    if pa.types.is_unsigned_integer(data_type):
        return INTEGERS[min(3, (data_type.bit_width // 8).bit_length())]
    return data_type


def common_type(types: Sequence[DataType]) -> DataType | None:
    """The type that Velox converts all of `types` to without being asked; None if there is none.

    Integers widen, REAL becomes DOUBLE, small integers become DOUBLE; BIGINT does not. A null
    literal becomes anything.
    """
    types = [data_type for data_type in types if data_type != pa.null()] or types
    if all(data_type == types[0] for data_type in types):
        return types[0]
    kinds = [_widened(data_type) for data_type in types]
    if all(kind in INTEGERS for kind in kinds):
        return max(kinds, key=INTEGERS.index)
    if all(kind in FLOATS or kind in INTEGERS[:3] for kind in kinds):
        return pa.float64()
    return None


def _unfit(name: str, types: Sequence[DataType]) -> InvalidPlanError:
    from columnar_nn.expressions.types import type_name

    listed = ", ".join(map(type_name, types))
    return InvalidPlanError(
        f"function signature is not supported: {name}({listed}); cast the arguments to one type"
    )


def _count(name: str, types: Sequence[DataType], count: int) -> None:
    if len(types) != count:
        raise InvalidPlanError(f"function {name} takes {count} argument(s), not {len(types)}")


def _arithmetic(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    _count(name, types, 2)
    target = common_type(types)
    if target is None or _widened(target) not in INTEGERS + FLOATS:
        raise _unfit(name, types)
    return [target, target], target


def _comparison(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    _count(name, types, 2)
    target = common_type(types)
    if target is None or isinstance(target, pa.FixedShapeTensorType):
        raise _unfit(name, types)
    return [target, target], pa.bool_()


def _between(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    _count(name, types, 3)
    target = common_type(types)
    if target is None or isinstance(target, pa.FixedShapeTensorType):
        raise _unfit(name, types)
    return [target] * 3, pa.bool_()


def _boolean(count: int) -> Callable[[str, Sequence[DataType]], tuple[list[DataType], DataType]]:
    def resolve(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
        _count(name, types, count)
        if any(data_type not in (pa.bool_(), pa.null()) for data_type in types):
            raise _unfit(name, types)
        return [pa.bool_()] * count, pa.bool_()

    return resolve


def _is_null(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    _count(name, types, 1)
    return list(types), pa.bool_()


def _if(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    _count(name, types, 3)
    is_tensor = isinstance(types[1], pa.FixedShapeTensorType)
    if types[0] != pa.bool_() or types[1] != types[2] or is_tensor:
        raise _unfit(name, types)
    return list(types), types[1]


def _modulus(left: Any, right: Any) -> Any:
    """Remainder with the sign of the dividend, as in C."""
    if pa.types.is_floating(left.type):
        values = np.fmod(
            *(pc.fill_null(side, np.nan).to_numpy(False) for side in _arrays(left, right))
        )
        valid = pc.and_(pc.is_valid(left), pc.is_valid(right))
        return pc.if_else(valid, pa.array(values, left.type), pa.scalar(None, left.type))
    return pc.subtract(left, pc.multiply(pc.divide_checked(left, right), right))


def _arrays(left: Any, right: Any) -> tuple[Any, Any]:
    length = max(len(side) for side in (left, right) if not isinstance(side, pa.Scalar))
    return tuple(  # type: ignore[return-value]
        pa.repeat(side, length) if isinstance(side, pa.Scalar) else side for side in (left, right)
    )


def _divide(left: Any, right: Any) -> Any:
    """Integers truncate towards zero and refuse a zero divisor; floats follow IEEE 754."""
    floating = pa.types.is_floating(left.type)
    return pc.divide(left, right) if floating else pc.divide_checked(left, right)


def _within(value: Any, low: Any, high: Any) -> Any:
    return pc.and_kleene(pc.greater_equal(value, low), pc.less_equal(value, high))


SCALAR_FUNCTIONS: dict[str, ScalarFunction] = {
    "plus": ScalarFunction(_arithmetic, pc.add_checked),
    "minus": ScalarFunction(_arithmetic, pc.subtract_checked),
    "multiply": ScalarFunction(_arithmetic, pc.multiply_checked),
    "divide": ScalarFunction(_arithmetic, _divide),
    "mod": ScalarFunction(_arithmetic, _modulus),
    "eq": ScalarFunction(_comparison, pc.equal),
    "neq": ScalarFunction(_comparison, pc.not_equal),
    "lt": ScalarFunction(_comparison, pc.less),
    "lte": ScalarFunction(_comparison, pc.less_equal),
    "gt": ScalarFunction(_comparison, pc.greater),
    "gte": ScalarFunction(_comparison, pc.greater_equal),
    "between": ScalarFunction(_between, _within),
    "and": ScalarFunction(_boolean(2), pc.and_kleene),
    "or": ScalarFunction(_boolean(2), pc.or_kleene),
    "not": ScalarFunction(_boolean(1), pc.invert),
    "is_null": ScalarFunction(_is_null, pc.is_null),
    "if": ScalarFunction(_if, pc.if_else),
}
"""Scalar functions by Velox's name."""


def resolve_scalar(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    """Types to convert the arguments to, and the type of the result.

    Raises InvalidPlanError when the arguments do not fit.
    """
    return SCALAR_FUNCTIONS[name].resolve(name, types)
