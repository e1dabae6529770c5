"""Reads what a batch gives out through Arrow's C data interface, and releases it."""

from __future__ import annotations

from columnar_nn.kernels.emit.emitter import Emitter, Value
from columnar_nn.kernels.emit.tables import BUFFERS, CHILDREN, NULL_COUNT, OFFSET, RELEASE


def find_tensors(e: Emitter, batch: Value, columns: Value, count: Value, found: Value) -> None:
    """found[0] = whether there may be nulls, found[1 + i] = where a column's first row lies.

    `columns` holds for each its position in the batch, and the bytes of a row and of a number. A
    column is fixed-size lists of numbers, and both may begin at an offset.
    """
    children = e.load_word(batch, CHILDREN)
    nulls = e.variable(e.word(0))
    with e.loop(count) as index:
        position, row_bytes, item_bytes = e.load_words(columns + index * 24, 3)
        lists = e.load_word(children + position * 8)
        numbers = e.load_word(e.load_word(lists, CHILDREN))
        start = e.load_word(e.load_word(numbers, BUFFERS), 1)
        skipped = e.load_word(lists, OFFSET) * row_bytes + e.load_word(numbers, OFFSET) * item_bytes
        e.store(found + index * 8 + 8, start + skipped, 8)
        for array in (lists, numbers):
            nulls.value = nulls.value | e.load_word(array, NULL_COUNT)
    e.store(found, nulls.value, 8)
    e.call_at(e.load_word(batch, RELEASE), batch)
