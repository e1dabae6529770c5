"""Arrow's hash aggregation of tables, where a sum of integers that leaves 64 bits is an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.errors import InvalidDataError

GroupCall = tuple[str | None, str, str]
"""(column, function of Arrow's, name of the result); count without a column counts rows."""


def grouped(rows: pa.Table, keys: Sequence[str], calls: Sequence[GroupCall]) -> pa.Table:
    """The keys and the calls' results of each group of equal keys, of all rows if there are none.

    Raises InvalidDataError where a sum of integers does not fit 64 bits.
    """
    # Arrow names results after columns; numbers in place of names keep any two apart.
    read = [*keys, *dict.fromkeys(column for column, _, _ in calls if column is not None)]
    number = {name: str(index) for index, name in enumerate(read)}
    columns = {number[name]: rows.column(name) for name in read}
    requested: list[Any] = []
    halves: list[int] = []
    for column, function, _ in calls:
        if column is None:
            requested.append(([], "count_all"))
        elif function == "count":
            requested.append((number[column], "count", pc.CountOptions(mode="only_valid")))
        elif function == "sum" and _may_overflow(rows.column(column)):
            halves.append(len(requested))
            for half, part in zip(("high", "low"), _halved(rows.column(column)), strict=True):
                columns[f"{number[column]} {half}"] = part
                requested.append((f"{number[column]} {half}", "sum"))
        else:
            requested.append((number[column], function))
    source = pa.table(columns) if columns else rows
    numbers = [number[key] for key in keys]
    found = source.group_by(numbers, use_threads=False).aggregate(requested)
    # The keys come before the results or, in older versions, after.
    results = [found.column(i) for i, n in enumerate(found.column_names) if n not in numbers]
    for index in reversed(halves):
        results[index : index + 2] = [_whole(results[index], results[index + 1])]
    found_keys = [found.column(name) for name in numbers]
    return pa.table(found_keys + results, names=[*keys, *(name for _, _, name in calls)])


def _may_overflow(column: pa.ChunkedArray) -> bool:
    """Whether a sum of some of the integers may leave 64 bits."""
    if not pa.types.is_integer(column.type):
        return False
    extremes = pc.min_max(column)
    low, high = (extremes[end].as_py() or 0 for end in ("min", "max"))
    return max(-low, high) * len(column) >= 2**63


_LOW_BITS, _HALF = 2**32 - 1, 32


def _halved(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The upper and the lower 32 bits, whose sums cannot overflow."""
    return pc.shift_right(column, _HALF), pc.bit_wise_and(column, _LOW_BITS)


def _whole(high: pa.ChunkedArray, low: pa.ChunkedArray) -> pa.ChunkedArray:
    """The sum of sums of upper and of lower halves."""
    high = pc.add(high, pc.shift_right(low, _HALF))
    fits = pc.and_(
        pc.greater_equal(high, -(2**31)),
        pc.less(high, 2**31),
    )
    if not pc.all(fits).as_py():
        raise InvalidDataError("sum: integer overflow; cast the argument to double")
    return pc.add(pc.shift_left(high, _HALF), pc.bit_wise_and(low, _LOW_BITS))
