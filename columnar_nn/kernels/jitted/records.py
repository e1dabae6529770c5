"""What annotations mean in a kernel: numbers, memory, and records read from int64 tables."""

from __future__ import annotations

import functools
import types as python_types
import typing
from collections.abc import Callable
from typing import Any

from numba import types

from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.convention import make_tuple
from columnar_nn.kernels.jitted.emitter import FLOAT, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, integer
from columnar_nn.kernels.parameters import WORD_BYTES


def annotated_types(annotated: Callable) -> dict[str, types.Type]:
    """Numba's type of each argument of a function, or field of a record, by name."""
    hints = typing.get_type_hints(annotated, include_extras=True)
    return {name: _type(hint) for name, hint in hints.items() if name != "return"}


def _type(hint: Any) -> types.Type:
    if typing.get_origin(hint) in (typing.Union, python_types.UnionType):
        hint, _ = typing.get_args(hint)  # memory, or None
    if typing.get_origin(hint) is typing.Annotated:
        return POINTERS[hint.__metadata__[0]]
    if hasattr(hint, "_fields"):
        return record_type(hint)
    return types.float32 if hint is float else integer


@functools.cache
def record_type(record: type) -> types.NamedTuple:
    """Numba's type of a NamedTuple."""
    return types.NamedTuple(list(annotated_types(record).values()), record)


def load(e: Emitter, kind: types.Type, word: Value) -> Value:
    """An argument that arrives as a word: itself, or the record that begins at that address."""
    if not isinstance(kind, types.NamedTuple):
        return word
    return _record(e, kind, word)[0]


def _record(e: Emitter, kind: types.NamedTuple, start: Value) -> tuple[Value, int]:
    """The record that begins at an address, and how many words it takes."""
    fields, place = [], 0
    for field in kind.types:
        here, count = start + WORD_BYTES * place, 1
        if isinstance(field, types.NamedTuple):
            value, count = _record(e, field, here)
        else:
            value = e.load(here, FLOAT) if field == types.float32 else e.load_word(here)
        fields.append(value.ir)
        place += count
    return e.of(make_tuple(e.builder, kind, fields)), place


def record_at(record: type) -> Any:
    """A function for kernels: the record that begins at a word of a table."""
    kind = record_type(record)

    def read(e: Emitter, start: Value) -> Value:
        return load(e, kind, start)

    return emitted(kind(POINTERS["word"]))(read)
