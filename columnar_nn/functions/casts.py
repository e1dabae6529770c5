"""CAST: from one type of scalar columns to another, as Velox's Presto functions do it.

A number becomes an integer by rounding, halves away from zero; what does not fit fails, as does
text that is not the whole of a number, a date or a truth value.

Source: Velox `velox/expression/CastExpr.cpp`, `velox/type/Conversions.h`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.expressions.types import DataType, type_name
from columnar_nn.functions.row_errors import Rows, nulled

_SPACES = " \t\n\v\f\r"
_INTEGER = r"^[+-]?[0-9]+$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?Infinity$|^[+-]?NaN$"
_DATE = r"^[+-]?[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$"
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?$"


def is_castable(source: DataType, target: DataType) -> bool:
    """Whether there is such a cast."""
    if source == target or pa.types.is_null(source):
        return True
    kinds = (_kind(source), _kind(target))
    return None not in kinds and (kinds[0] == kinds[1] or kinds in _CASTS)


def cast_rows(rows: Rows, target: DataType) -> Rows:
    """The rows' values with another type; those that cannot have it have failed."""
    values, refused = cast(rows.values, target)
    if refused is None:
        return Rows(values, rows.failed, rows.reason)
    first = _first(rows.values, refused)
    reason = f"cannot cast {type_name(rows.values.type)} {first!r} to {type_name(target)}"
    failed = refused if rows.failed is None else pc.or_(refused, rows.failed)
    return Rows(values, failed, rows.reason or reason)


def _first(values: Any, refused: Any) -> Any:
    if isinstance(values, pa.Scalar):
        return values.as_py()
    return values[pc.index(refused, True).as_py()].as_py()


def cast(array: Any, target: DataType) -> tuple[Any, Any]:
    """(values, null where a row failed; which rows failed, or None) of an array or a scalar."""
    if isinstance(array, pa.Scalar):
        values, failed = cast(pa.repeat(array, 1), target)
        return values[0], None if failed is None else failed[0]
    if array.type == target:
        return array, None
    if pa.types.is_null(array.type):
        return array.cast(target), None
    kinds = (_kind(array.type) or "", _kind(target) or "")
    refused = None
    if kinds in _REFUSED:
        refused = pc.fill_null(_REFUSED[kinds](array, target), False)
        if not pc.any(refused).as_py():
            refused = None
        else:
            array = nulled(refused, array)
    convert = _CASTS.get(kinds, lambda values, kind: values.cast(kind, safe=False))
    return convert(array, target), refused


def _kind(data_type: DataType) -> str | None:
    for kind, is_of_kind in _KINDS.items():
        if is_of_kind(data_type):
            return kind
    return None


_KINDS: dict[str, Callable[[DataType], bool]] = {
    "boolean": pa.types.is_boolean,
    "integer": pa.types.is_integer,
    "float": pa.types.is_floating,
    "text": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "bytes": lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
    "date": pa.types.is_date32,
    "timestamp": pa.types.is_timestamp,
}


def _limits(target: DataType) -> tuple[int, int]:
    information = np.iinfo(target.to_pandas_dtype())
    return int(information.min), int(information.max)


def _outside(array: Any, target: DataType) -> Any:
    """Integers that the target cannot hold."""
    low, high = (
        max(_limits(target)[0], _limits(array.type)[0]),
        min(_limits(target)[1], _limits(array.type)[1]),
    )
    return pc.or_(
        pc.less(array, pa.scalar(low, array.type)), pc.greater(array, pa.scalar(high, array.type))
    )


def _rounded(array: Any) -> Any:
    """To integers, halves away from zero. (x + 0.5 would round 0.49999999999999994 up.)"""
    whole = pc.trunc(array)
    up = pc.greater_equal(pc.abs(pc.subtract(array, whole)), pa.scalar(0.5, array.type))
    return pc.if_else(up, pc.add(whole, pc.sign(array)), whole)


def _unrounded(array: Any, target: DataType) -> Any:
    """Numbers whose rounded value the target cannot hold; NaN and infinity among them."""
    low, high = _limits(target)
    whole = _rounded(array)
    fits = pc.and_(
        pc.greater_equal(whole, pa.scalar(float(low), array.type)),
        pc.less(whole, pa.scalar(float(high + 1), array.type)),
    )
    return pc.invert(fits)


def _too_large(array: Any, target: DataType) -> Any:
    """Finite numbers that would become infinite."""
    if target.bit_width >= array.type.bit_width:
        return pa.repeat(pa.scalar(False), len(array))
    largest = pa.scalar(float(np.finfo(target.to_pandas_dtype()).max), array.type)
    return pc.and_(pc.is_finite(array), pc.greater(pc.abs(array), largest))


def _trimmed(text: Any) -> Any:
    return pc.ascii_trim(text.cast(pa.string()), _SPACES)


def _digits(text: Any) -> Any:
    """Integers as Arrow reads them: no plus, no zeros before the others."""
    plain = pc.replace_substring_regex(_trimmed(text), r"^\+", "")
    return pc.replace_substring_regex(plain, r"^(-?)0+([0-9])", r"\1\2")


_WIDEST = pa.decimal128(38, 0)


def _no_integer(text: Any, target: DataType) -> Any:
    digits = _digits(text)
    legible = pc.and_(
        pc.match_substring_regex(digits, _INTEGER), pc.less(pc.binary_length(digits), 38)
    )
    numbers = nulled(pc.invert(legible), digits).cast(_WIDEST)
    low, high = (
        pa.scalar(limit, pa.int64() if limit < 2**63 else pa.uint64()) for limit in _limits(target)
    )
    fits = pc.and_(
        pc.greater_equal(numbers, low.cast(_WIDEST)), pc.less_equal(numbers, high.cast(_WIDEST))
    )
    return pc.and_(pc.is_valid(text), pc.invert(pc.fill_null(fits, False)))


def _unlike(pattern: str) -> Callable[[Any, DataType], Any]:
    return lambda text, target: pc.invert(pc.match_substring_regex(_trimmed(text), pattern))


def _as_float(text: Any, target: DataType) -> Any:
    return pc.replace_substring_regex(_trimmed(text), r"^[+]|^[+-](NaN)$", r"\1").cast(target)


_TRUE, _FALSE = ["true", "t", "1"], ["false", "f", "0"]


def _no_truth(text: Any, target: DataType) -> Any:
    lower = pc.ascii_lower(text)
    known = pc.is_in(lower, pa.array(_TRUE + _FALSE))
    return pc.and_(pc.is_valid(text), pc.invert(known))


def _as_truth(text: Any, target: DataType) -> Any:
    return nulled(pc.is_null(text), pc.is_in(pc.ascii_lower(text), pa.array(_TRUE)))


def _instants(text: Any, pattern: str, target: DataType) -> Any:
    """Null where the text is no such date or time of the calendar."""
    padded = pc.replace_substring_regex(_trimmed(text), r"-([0-9])\b", r"-0\1")
    padded = pc.replace_substring_regex(padded, r"-0([0-9][0-9])", r"-\1")
    day = pc.replace_substring_regex(padded, "^(.{10}).*", r"\1")
    days = pc.strptime(day, "%Y-%m-%d", "s", error_is_null=True)
    # strptime knows no calendar: it takes 31 February for 2 or 3 March
    real = pc.equal(pc.strftime(days, "%Y-%m-%d"), day)
    time = pc.match_substring_regex(
        padded, r"^.{10}($| ([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]|$))"
    )
    good = pc.and_(pc.and_(real, time), pc.match_substring_regex(padded, pattern))
    return nulled(pc.invert(good), padded).cast(target)


def _no_instant(pattern: str) -> Callable[[Any, DataType], Any]:
    return lambda text, target: pc.and_(
        pc.is_valid(text), pc.is_null(_instants(text, pattern, target))
    )


def _float_text(numbers: Any, target: DataType) -> Any:
    """1.5, 100.0, 1.0E7, -Infinity, NaN: from 1e-3 to 1e7 the shortest digits that read back, else
    17 digits (REAL: 8) without zeros at the end."""
    encoded = pc.dictionary_encode(numbers, null_encoding="mask")
    distinct = encoded.dictionary
    digits = 16 if numbers.type == pa.float64() else 7
    texts = [
        _one_float_text(value, text, digits)
        for value, text in zip(
            distinct.to_pylist(), distinct.cast(pa.string()).to_pylist(), strict=True
        )
    ]
    return pa.array(texts, target).take(encoded.indices)


def _one_float_text(value: float, shortest: str, digits: int) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return shortest if "." in shortest else f"{shortest}.0"
    mantissa, _, exponent = f"{value:.{digits}E}".partition("E")
    mantissa = mantissa.rstrip("0")
    return f"{mantissa}{'0' if mantissa.endswith('.') else ''}E{int(exponent)}"


def _timestamp_text(instants: Any, target: DataType) -> Any:
    floored = pc.floor_temporal(instants, unit="millisecond").cast(pa.timestamp("ms"))
    return pc.strftime(floored, "%Y-%m-%d %H:%M:%S").cast(target)


def _simple(values: Any, target: DataType) -> Any:
    return values.cast(target, safe=False)


_CASTS: dict[tuple[str, str], Callable[[Any, DataType], Any]] = {
    ("boolean", "integer"): _simple,
    ("boolean", "float"): _simple,
    ("boolean", "text"): _simple,
    ("integer", "boolean"): lambda values, _: pc.not_equal(values, pa.scalar(0, values.type)),
    ("integer", "float"): _simple,
    ("integer", "text"): _simple,
    ("float", "boolean"): lambda values, _: pc.not_equal(values, pa.scalar(0, values.type)),
    ("float", "integer"): lambda values, target: _rounded(values).cast(target, safe=False),
    ("float", "text"): _float_text,
    ("text", "boolean"): _as_truth,
    ("text", "integer"): lambda text, target: _digits(text).cast(target),
    ("text", "float"): _as_float,
    ("text", "date"): lambda text, target: _instants(text, _DATE, target),
    ("text", "timestamp"): lambda text, target: _instants(text, _TIMESTAMP, target),
    ("text", "bytes"): _simple,
    ("date", "text"): _simple,
    ("date", "timestamp"): _simple,
    ("timestamp", "text"): _timestamp_text,
    ("timestamp", "date"): lambda values, target: pc.floor_temporal(values, unit="day").cast(
        target
    ),
}
"""How the values of one kind become another; rows that fail are null by then."""

_REFUSED: dict[tuple[str, str], Callable[[Any, DataType], Any]] = {
    ("integer", "integer"): _outside,
    ("float", "integer"): _unrounded,
    ("float", "float"): _too_large,
    ("text", "boolean"): _no_truth,
    ("text", "integer"): _no_integer,
    ("text", "float"): _unlike(_NUMBER),
    ("text", "date"): _no_instant(_DATE),
    ("text", "timestamp"): _no_instant(_TIMESTAMP),
}
"""Which rows fail, where some can."""
