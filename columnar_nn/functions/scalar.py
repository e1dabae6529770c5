"""Functions of scalar columns, for filters and projections: Velox's names and type rules.

Built-in ones are computed by pyarrow.compute. As in Velox's Presto functions, integer arithmetic
that overflows and division of integers by zero are errors of their rows, nulls propagate, and NaN
is equal to itself and larger than every other number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.types import FLOATS, INTEGERS, DataType, is_comparable
from columnar_nn.functions import floats, row_errors
from columnar_nn.functions.row_errors import Rows

Resolve = Callable[..., tuple[list[DataType], DataType]]
"""(types that the arguments must become, type of the result) of a name and the arguments' types.

Attributes are given by name."""


@dataclass(frozen=True)
class ScalarFunction:
    """Its types, and its computation on Arrow arrays and scalars.

    `compute` raises pa.ArrowInvalid if it fails on some row; `failing` then says on which, where
    that is sooner known than found. Attributes, where it has any, are given by name.
    """

    resolve: Resolve
    compute: Callable[..., Any]
    failing: Callable[..., Any] | None = None
    attributes: tuple[str, ...] = ()

    def rows(self, *inputs: Rows, **attributes: Any) -> Rows:
        """The function of each row, errors kept with theirs."""
        compute = partial(self.compute, **attributes) if attributes else self.compute
        return row_errors.computed(compute, self.failing, inputs)


@dataclass(frozen=True)
class SpecialForm:
    """A function that does not need all of its arguments in every row, as Velox calls it."""

    resolve: Resolve
    rows: Callable[..., Rows]
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompiledFunction:
    """A function in machine code; `load` has it loaded or compiled."""

    resolve: Resolve
    rows: Callable[..., Rows]
    load: Callable[[], None]
    attributes: tuple[str, ...] = ()


def widened(data_type: DataType) -> DataType:
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
    kinds = [widened(data_type) for data_type in types]
    if all(kind in INTEGERS for kind in kinds):
        return max(kinds, key=INTEGERS.index)
    if all(kind in FLOATS or kind in INTEGERS[:3] for kind in kinds):
        return pa.float64()
    return None


def of_one_type(types: Sequence[DataType]) -> list[DataType]:
    """The types with all numbers of one: the widest integer, or DOUBLE if there are others."""
    numbers = {kind for kind in types if pa.types.is_integer(kind) or kind in FLOATS}
    if len(numbers) < 2:
        return list(types)
    target = pa.float64() if numbers & set(FLOATS) else common_type(list(numbers))
    return [target if kind in numbers else kind for kind in types]


def unfit(name: str, types: Sequence[DataType]) -> InvalidPlanError:
    """The error for arguments of types that a function does not take."""
    from columnar_nn.expressions.types import type_name

    listed = ", ".join(map(type_name, types))
    return InvalidPlanError(
        f"function signature is not supported: {name}({listed}); cast the arguments to one type"
    )


def check_count(name: str, types: Sequence[DataType], count: int) -> None:
    """Raises InvalidPlanError for another number of arguments."""
    if len(types) != count:
        raise InvalidPlanError(f"function {name} takes {count} argument(s), not {len(types)}")


def _arithmetic(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    check_count(name, types, 2)
    target = common_type(types)
    if target is None or widened(target) not in INTEGERS + FLOATS:
        raise unfit(name, types)
    return [target, target], target


def _compared(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    target = common_type(types)
    if target is None or not is_comparable(target):
        raise unfit(name, types)
    if target == pa.null():  # Arrow compares no nulls without a type
        target = pa.bool_()
    return [target] * len(types), pa.bool_()


def _comparison(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    check_count(name, types, 2)
    return _compared(name, types)


def _between(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    check_count(name, types, 3)
    return _compared(name, types)


def _boolean(count: int) -> Resolve:
    def resolve(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
        check_count(name, types, count)
        if any(data_type not in (pa.bool_(), pa.null()) for data_type in types):
            raise unfit(name, types)
        return [pa.bool_()] * count, pa.bool_()

    return resolve


def _any(result: DataType | None) -> Resolve:
    """One argument of any type; the result has its type if `result` is None."""

    def resolve(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
        check_count(name, types, 1)
        return list(types), result or types[0]

    return resolve


def _number(kinds: Sequence[DataType], result: DataType | None) -> Resolve:
    def resolve(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
        check_count(name, types, 1)
        if types[0] not in kinds:
            raise unfit(name, types)
        return list(types), result or types[0]

    return resolve


def _alike(name: str, types: Sequence[DataType]) -> DataType:
    """The type that they all have; null literals have any."""
    known = [data_type for data_type in types if data_type != pa.null()] or [pa.null()]
    is_tensor = isinstance(known[0], pa.FixedShapeTensorType)
    if is_tensor or any(data_type != known[0] for data_type in known):
        raise unfit(name, types)
    return known[0]


def _coalesce(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    if not types:
        raise InvalidPlanError(f"function {name} takes an argument at least")
    result = _alike(name, types)
    return [result] * len(types), result


def _switch(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    """Conditions and values in turn, then perhaps the value of all other rows."""
    pairs = len(types) // 2
    if not pairs or (name == "if" and len(types) > 3):
        raise InvalidPlanError(f"function {name} takes conditions, a value after each")
    conditions = types[0 : 2 * pairs : 2]
    if any(kind not in (pa.bool_(), pa.null()) for kind in conditions):
        raise unfit(name, types)
    values = [types[i] for i in range(1, 2 * pairs, 2)] + list(types[2 * pairs :])
    result = _alike(name, values)
    wanted = [pa.bool_(), result] * pairs + [result] * (len(types) % 2)
    return wanted, result


def _listed(name: str, types: Sequence[DataType]) -> tuple[list[DataType], DataType]:
    if len(types) < 2:
        raise unfit(name, types)
    return _compared(name, types)


def _modulus(left: Any, right: Any) -> Any:
    """Remainder with the sign of the dividend, as in C."""
    if pa.types.is_floating(left.type):
        sides = [pc.fill_null(side, np.nan) for side in (left, right)]
        numbers = [np.asarray(s.as_py() if isinstance(s, pa.Scalar) else s) for s in sides]
        with np.errstate(invalid="ignore"):  # of infinity, and by zero: NaN
            remainders = np.fmod(*numbers).astype(left.type.to_pandas_dtype())
        made = pa.array(remainders) if remainders.ndim else pa.scalar(remainders.item(), left.type)
        valid = pc.and_(pc.is_valid(left), pc.is_valid(right))
        return pc.if_else(valid, made, pa.scalar(None, left.type))
    if pa.types.is_signed_integer(left.type):  # the least integer / -1 overflows; % -1 is 0
        minus_one = pc.equal(right, pa.scalar(-1, right.type))
        right = pc.if_else(minus_one, pa.scalar(1, right.type), right)
    return pc.subtract(left, pc.multiply(pc.divide_checked(left, right), right))


def _divide(left: Any, right: Any) -> Any:
    """Integers truncate towards zero and refuse a zero divisor; floats follow IEEE 754."""
    floating = pa.types.is_floating(left.type)
    return pc.divide(left, right) if floating else pc.divide_checked(left, right)


def _zero(left: Any, right: Any) -> Any:
    return pc.equal(right, pa.scalar(0, right.type))


def _indivisible(left: Any, right: Any) -> Any:
    """A divisor of zero; or the least integer and -1, whose quotient is no such integer."""
    failing = _zero(left, right)
    if pa.types.is_signed_integer(left.type):
        least = pa.scalar(-(2 ** (left.type.bit_width - 1)), left.type)
        overflow = pc.and_(pc.equal(left, least), pc.equal(right, pa.scalar(-1, right.type)))
        failing = pc.or_(failing, overflow)
    return failing


def _within(value: Any, low: Any, high: Any) -> Any:
    return pc.and_(floats.less_equal(low, value), floats.less_equal(value, high))


def _distinct(left: Any, right: Any) -> Any:
    """Not equal, where null is a value like others."""
    nulls = pc.xor(pc.is_null(left), pc.is_null(right))
    return pc.or_(nulls, pc.fill_null(pc.invert(floats.equal(left, right)), False))


def _among(value: Any, *listed: Any) -> Any:
    found = floats.equal(value, listed[0])
    for other in listed[1:]:
        found = pc.or_kleene(found, floats.equal(value, other))
    return found


def _arrow(name: str) -> Callable[..., Any]:
    """pyarrow.compute's function, which is not loaded before it is called."""
    return lambda *columns: getattr(pc, name)(*columns)  # noqa: PLW0108 - inlined, it would load


def _negated(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: pc.invert(compare(left, right))


def _turned(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: compare(right, left)


FUNCTIONS: dict[str, ScalarFunction | SpecialForm] = {
    "plus": ScalarFunction(_arithmetic, _arrow("add_checked")),
    "minus": ScalarFunction(_arithmetic, _arrow("subtract_checked")),
    "multiply": ScalarFunction(_arithmetic, _arrow("multiply_checked")),
    "divide": ScalarFunction(_arithmetic, _divide, _indivisible),
    "mod": ScalarFunction(_arithmetic, _modulus, _zero),
    "negate": ScalarFunction(_number((*INTEGERS, *FLOATS), None), _arrow("negate_checked")),
    "eq": ScalarFunction(_comparison, floats.equal),
    "neq": ScalarFunction(_comparison, _negated(floats.equal)),
    "lt": ScalarFunction(_comparison, floats.less),
    "lte": ScalarFunction(_comparison, floats.less_equal),
    "gt": ScalarFunction(_comparison, _turned(floats.less)),
    "gte": ScalarFunction(_comparison, _turned(floats.less_equal)),
    "distinct_from": ScalarFunction(_comparison, _distinct),
    "between": ScalarFunction(_between, _within),
    "in": ScalarFunction(_listed, _among),
    "not": ScalarFunction(_boolean(1), _arrow("invert")),
    "is_null": ScalarFunction(_any(pa.bool_()), _arrow("is_null")),
    "is_nan": ScalarFunction(_number(FLOATS, pa.bool_()), _arrow("is_nan")),
    "and": SpecialForm(_boolean(2), row_errors.conjunction),
    "or": SpecialForm(_boolean(2), row_errors.disjunction),
    "if": SpecialForm(_switch, row_errors.choice),
    "switch": SpecialForm(_switch, row_errors.choice),
    "coalesce": SpecialForm(_coalesce, row_errors.first_valid),
    "try": SpecialForm(_any(None), row_errors.attempt),
}
"""By Velox's name."""
