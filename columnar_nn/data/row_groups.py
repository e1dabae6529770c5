"""Row groups of a Parquet file that may hold a row whose values lie in given ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa


class Range(NamedTuple):
    """Values of a column between two bounds, which are among them; None where there is none.

    A null is in no range.
    """

    column: str
    low: Any
    high: Any

    def __str__(self) -> str:
        bounds = (("<=", self.high), (">=", self.low))
        return " and ".join(f"{self.column} {s} {v!r}" for s, v in bounds if v is not None)


def overlapping(metadata: Any, ranges: Sequence[Range]) -> list[int]:
    """Numbers of the row groups of a file, by its metadata, that may hold such rows."""
    schema = metadata.schema.to_arrow_schema()
    known = [found for found in ranges if _is_ordered(schema.field(found.column).type)]
    columns = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    return [
        number
        for number in range(metadata.num_row_groups)
        if all(
            _may_overlap(metadata.row_group(number).column(columns[found.column]), found)
            for found in known
        )
    ]


def _is_ordered(data_type: Any) -> bool:
    """Whether the file's least and greatest value are those of the engine's order."""
    kinds = pa.types
    is_number = kinds.is_signed_integer(data_type) or kinds.is_floating(data_type)
    return bool(is_number or kinds.is_string(data_type))


def _may_overlap(chunk: Any, wanted: Range) -> bool:
    statistics = chunk.statistics
    if statistics is None:
        return True
    if statistics.has_null_count and statistics.null_count == chunk.num_values:
        return False
    if not statistics.has_min_max:
        return True
    return not (
        (wanted.low is not None and statistics.max < wanted.low)
        or (wanted.high is not None and statistics.min > wanted.high)
    )
