"""Columns as scalar functions see them: a number, a truth value or None for each row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.convention import make_optional, make_tuple
from columnar_nn.kernels.jitted.emitter import BYTE, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, integer
from columnar_nn.kernels.parameters import WORD_BYTES, Words
from columnar_nn.kernels.tables import Column

COLUMN_WORDS = len(Column._fields)

NUMBERS = {"b": types.boolean, "i": integer, "f": types.float64}
"""Numba's types, by the code of a `columns.Kind`."""

_BIT = ir.IntType(1)
_EMITTED = {"b": _BIT, "i": ir.IntType(64), "f": ir.DoubleType()}


def number_type(code: str) -> types.Type:
    """Numba's type of a kind."""
    inner = NUMBERS[code[0]]
    return types.Optional(inner) if code.endswith("?") else inner


def parameter_types(codes: str) -> list[types.Type]:
    """Numba's types of parameters, of which `codes` has each one's code."""
    return [number_type(code) for code in _split(codes)]


def _split(codes: str) -> list[str]:
    return [] if codes == "none" else codes.split("-")


def _bit(e: Emitter, bits: Value, place: Value) -> Value:
    """Whether a bit of memory is set."""
    byte = e.load(bits + place // 8, BYTE, 1)
    shift = e.builder.trunc((place % 8).ir, BYTE)
    return e.of(e.builder.trunc(e.builder.lshr(byte.ir, shift), _BIT))


def _set_bit(e: Emitter, bits: Value, place: Value, value: Value) -> None:
    """Sets a bit of memory that is clear to a truth value."""
    byte = bits + place // 8
    shift = e.builder.trunc((place % 8).ir, BYTE)
    shifted = e.builder.shl(e.builder.zext(value.ir, BYTE), shift)
    e.store(byte, e.load(byte, BYTE, 1) | e.of(shifted), 1)


def _column(e: Emitter, table: Value, index: int, row: Value) -> tuple[Value, Value, Value]:
    """Of a column of the table, values and validity, and the place of a row in both."""
    words = [e.load_word(table, index * COLUMN_WORDS + k) for k in range(COLUMN_WORDS)]
    values, validity, first, step = words
    return values, validity, first + row * step


def _known(e: Emitter, validity: Value, place: Value) -> Value:
    """Whether a row is not null."""
    known = e.variable(e.of(_BIT(1)))
    with e.when(validity.differs(0)):
        known.value = _bit(e, validity, place)
    return known.value


def _load(e: Emitter, code: str, values: Value, place: Value) -> Value:
    if code[0] == "b":
        return _bit(e, values, place)
    return e.load(values + place * WORD_BYTES, _EMITTED[code[0]], WORD_BYTES)


def _load_optional(e: Emitter, code: str, values: Value, known: Value, place: Value) -> Value:
    number = e.variable(e.of(ir.Constant(_EMITTED[code[0]], None)))
    with e.when(known):
        number.value = _load(e, code, values, place)
    return e.of(make_optional(e.builder, number_type(code), number.value.ir, known.ir))


@functools.cache
def reads(codes: str) -> tuple[Any, Any]:
    """Two functions for kernels of a table and a row: whether it is computed, and the arguments."""
    split = _split(codes)
    arguments_type = types.Tuple([number_type(code) for code in split])

    def is_computed(e: Emitter, table: Value, row: Value) -> Value:
        computed = e.of(_BIT(1))
        for index, code in enumerate(split):
            if not code.endswith("?"):
                _, validity, place = _column(e, table, index, row)
                computed &= _known(e, validity, place)
        return computed

    def arguments(e: Emitter, table: Value, row: Value) -> Value:
        items = []
        for index, code in enumerate(split):
            values, validity, place = _column(e, table, index, row)
            if code.endswith("?"):
                items.append(_load_optional(e, code, values, _known(e, validity, place), place).ir)
            else:
                items.append(_load(e, code, values, place).ir)
        return e.of(make_tuple(e.builder, arguments_type, items))

    table_and_row = (POINTERS["word"], integer)
    return (
        emitted(types.boolean(*table_and_row))(is_computed),
        emitted(arguments_type(*table_and_row))(arguments),
    )


@functools.cache
def writes(code: str, index: int) -> Any:
    """A function for kernels that stores a number in a row of the table's column `index`."""

    @emitted(types.none(POINTERS["word"], integer, NUMBERS[code[0]]))
    def write(e: Emitter, table: Value, row: Value, number: Value) -> None:
        values, validity, place = _column(e, table, index, row)
        _set_bit(e, validity, place, e.of(_BIT(1)))
        if code[0] == "b":
            _set_bit(e, values, place, number)
        else:
            e.store(values + place * WORD_BYTES, number, WORD_BYTES)

    return write


def of_columns(function: Callable[..., Any], codes: str, result: str) -> Callable[..., None]:
    """The last column = function(the others), row by row; null where it is not computed.

    From the row on whose number is the progress, which ends as that of the first row that fails.
    """
    is_computed, arguments = reads(codes)
    write = writes(result, len(_split(codes)))

    def kernel(columns: Words, rows: int, progress: Words) -> None:
        for row in range(progress[0], rows):
            if is_computed(columns, row):
                progress[0] = row
                number = function(*arguments(columns, row))
                if number is not None:
                    write(columns, row, number)
        progress[0] = rows

    return kernel
