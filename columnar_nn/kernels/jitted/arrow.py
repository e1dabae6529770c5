"""Reads what a batch gives out through Arrow's C data interface, and releases it."""

from __future__ import annotations

from columnar_nn.kernels.jitted.memory import address_of, words
from columnar_nn.kernels.jitted.records import record_at
from columnar_nn.kernels.jitted.threads import call
from columnar_nn.kernels.parameters import Words
from columnar_nn.kernels.tables import (
    BUFFERS,
    CHILDREN,
    NULL_COUNT,
    OFFSET,
    RELEASE,
    TENSOR_COLUMN_WORDS,
    TensorColumn,
)

column_at = record_at(TensorColumn)


def find_tensors(batch: Words, columns: Words, count: int, found: Words) -> None:
    """found[0] = whether there may be nulls, found[1 + i] = where a column's first row lies.

    A column is fixed-size lists of numbers, and both may begin at an offset.
    """
    children = words(batch[CHILDREN])
    nulls = 0
    for index in range(count):
        column = column_at(columns + index * TENSOR_COLUMN_WORDS)
        lists = words(children[column.position])
        numbers = words(words(lists[CHILDREN])[0])
        start = words(numbers[BUFFERS])[1]
        skipped = lists[OFFSET] * column.row_bytes + numbers[OFFSET] * column.item_bytes
        found[1 + index] = start + skipped
        nulls |= lists[NULL_COUNT] | numbers[NULL_COUNT]
    found[0] = nulls
    call(batch[RELEASE], address_of(batch))
