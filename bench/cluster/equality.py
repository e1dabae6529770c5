"""Whether what Spark gives is what the engine alone gives, row by row and bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from columnar_nn.integrations.batches import ERROR

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def collected(frame: DataFrame) -> pa.Table:
    """The rows of a DataFrame, sorted by their column `id`."""
    if hasattr(frame, "toArrow"):
        return frame.toArrow().sort_by("id")
    return pa.Table.from_batches(frame._collect_as_arrow()).sort_by("id")  # pyspark 3.5


def differing(found: pa.Table, expected: pa.Table, outputs: Sequence[str]) -> int:
    """Rows that are missing or too many, have an error, or have another bit in an output.

    Both tables are sorted by their column `id`.
    """
    if found["id"].to_pylist() != expected["id"].to_pylist():
        ids = set(found["id"].to_pylist()) ^ set(expected["id"].to_pylist())
        return max(1, len(ids), abs(int(found.num_rows) - int(expected.num_rows)))
    if bad := found.num_rows - found[ERROR].null_count:
        return int(bad)
    equal = np.ones(found.num_rows, bool)
    for name in outputs:
        left, right = (_bytes(table[name].combine_chunks()) for table in (found, expected))
        equal &= (left == right).all(axis=1)
    return int((~equal).sum())


def _bytes(column: pa.Array) -> np.ndarray:
    """The bytes of each row's values: two NaN are equal, 0.0 and -0.0 are not."""
    flat = column.flatten() if pa.types.is_list(column.type) else column
    values = np.ascontiguousarray(flat.to_numpy(zero_copy_only=False))
    return values.view(np.uint8).reshape(len(column), -1)
