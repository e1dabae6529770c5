"""Rows as functions of the user's see them: numbers behind indices, each of which is checked.

`x[i]`, of two dimensions `x[i, j]`, is a float64 of the row, and `out[i] = value` rounds to
float32. Indices count from 0. One outside, or a negative one, reads NaN and writes nothing, and
reports itself: no memory but the row's is ever touched.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import make_attribute_wrapper, models, register_model

from columnar_nn.kernels.jitted.compiler import emitted, emitted_as
from columnar_nn.kernels.jitted.convention import make_tuple
from columnar_nn.kernels.jitted.emitter import FLOAT, WORD, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, address_of, clear, integer
from columnar_nn.kernels.parameters import FLOAT_BYTES, WORD_BYTES, Floats
from columnar_nn.kernels.rows import Row
from columnar_nn.kernels.tables import OUTSIDE, SPOILED_BYTES

number = types.float64
_DOUBLE = ir.DoubleType()


class RowType(types.Type):
    """Numba's type of a row."""

    def __init__(self, rank: int, written: bool) -> None:
        self.sizes = types.UniTuple(integer, rank)
        super().__init__(name=f"row of {rank} dimensions{' to write' if written else ''}")


@register_model(RowType)
class _RowModel(models.StructModel):
    def __init__(self, manager: Any, kind: RowType) -> None:
        members = [("start", integer), ("shape", kind.sizes), ("reports", integer)]
        super().__init__(manager, kind, members)


make_attribute_wrapper(RowType, "shape", "shape")


@functools.cache
def row_at(rank: int, written: bool) -> Any:
    """A function for kernels: the row that begins at memory, of sizes that other memory holds.

    The third is the address of the word that indices outside are reported to.
    """
    kind = RowType(rank, written)
    index = integer if rank == 1 else types.UniTuple(integer, rank)

    @emitted_as(len, integer(kind))
    def length(e: Emitter, row: Value) -> Value:
        return _size(e, row, 0)

    @emitted_as(operator.getitem, number(kind, index))
    def load(e: Emitter, row: Value, place: Value) -> Value:
        inside, offset = _find(e, row, place, rank)
        value = e.load(_start(e, row) + inside.select(offset, e.word(0)) * FLOAT_BYTES, FLOAT)
        wide = e.of(e.builder.fpext(value.ir, _DOUBLE))
        return inside.select(wide, e.constant(_DOUBLE, math.nan))

    if written:

        @emitted_as(operator.setitem, types.none(kind, index, number))
        def store(e: Emitter, row: Value, place: Value, value: Value) -> None:
            inside, offset = _find(e, row, place, rank)
            with e.when(inside, likely=True):
                narrow = e.of(e.builder.fptrunc(value.ir, FLOAT))
                e.store(_start(e, row) + offset * FLOAT_BYTES, narrow)

    @emitted(kind(POINTERS["float"], POINTERS["word"], integer))
    def view(e: Emitter, start: Value, sizes: Value, reports: Value) -> Value:
        loaded = [e.load_word(sizes, axis).ir for axis in range(rank)]
        shape = make_tuple(e.builder, kind.sizes, loaded)
        made = ir.Constant(ir.LiteralStructType([WORD, shape.type, WORD]), ir.Undefined)
        for place, value in enumerate((start.ir, shape, reports.ir)):
            made = e.builder.insert_value(made, value, place)
        return e.of(made)

    return view


def _start(e: Emitter, row: Value) -> Value:
    return e.of(e.builder.extract_value(row.ir, 0))


def _size(e: Emitter, row: Value, axis: int) -> Value:
    return e.of(e.builder.extract_value(row.ir, (1, axis)))


def _find(e: Emitter, row: Value, place: Value, rank: int) -> tuple[Value, Value]:
    """Whether an index is inside, and its item there; reports one that is not."""
    offset, inside = e.word(0), e.of(ir.IntType(1)(1))
    for axis in range(rank):
        index = place if rank == 1 else e.of(e.builder.extract_value(place.ir, axis))
        size = _size(e, row, axis)
        inside &= e.of(e.builder.icmp_unsigned("<", index.ir, size.ir))  # negative ones are large
        offset = offset * size + index
    with e.when(e.of(e.builder.not_(inside.ir)), likely=False):
        reports = e.of(e.builder.extract_value(row.ir, 2))
        e.store(reports, e.word(OUTSIDE), WORD_BYTES)
    return inside, offset


@functools.cache
def attributes_at(kinds: str) -> Any:
    """A function for kernels: attributes, "i" an integer and "f" a float64, as a tuple."""
    kind = types.Tuple([integer if letter == "i" else number for letter in kinds])

    def read(e: Emitter, start: Value) -> Value:
        values = []
        for place, letter in enumerate(kinds):
            word = e.load_word(start, place).ir
            values.append(word if letter == "i" else e.builder.bitcast(word, _DOUBLE))
        return e.of(make_tuple(e.builder, kind, values))

    return emitted(kind(POINTERS["word"]))(read)


def of_rows(
    function: Callable[..., None], rank: int, out_rank: int, kinds: str
) -> Callable[..., None]:
    """function(row, result, *attributes). Part 0 does it all."""
    row, result = row_at(rank, False), row_at(out_rank, True)
    attributes = attributes_at("" if kinds == "none" else kinds)

    def kernel(parameters: Row, source: Floats, target: Floats, scratch: Floats, part: int) -> None:
        if part == 0:
            p = parameters
            clear(target, p.out_items)
            reports = address_of(scratch) + -SPOILED_BYTES
            function(
                row(source, p.shape, reports),
                result(target, p.out_shape, reports),
                *attributes(p.attributes),
            )

    return kernel
