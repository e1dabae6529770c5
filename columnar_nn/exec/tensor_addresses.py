"""Where the tensors of a batch lie in memory, asked through Arrow's C data interface.

To make Python objects of a tensor column and of its buffers takes 24 us within a task of one image;
this saves a third.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import Layout
from columnar_nn.kernels.parameters import address
from columnar_nn.kernels.tables import ARRAY_WORDS, TensorColumn

FIND = Kernel("arrow", "find_tensors", arguments=("batch", "columns", "count", "found"))


class TensorAddresses:
    """Finds some columns of tensors, each of a known layout, in batches that all have them."""

    def __init__(self, columns: Sequence[tuple[str, Layout]]) -> None:
        self._columns = tuple(columns)
        self._words = ctypes.c_int64 * (ARRAY_WORDS + 1 + len(columns))
        self._known: tuple[pa.Schema | None, int, np.ndarray | None] = (None, 0, None)

    def of(self, batch: pa.RecordBatch) -> list[int]:
        """The address of each column's first row; raises InvalidDataError for nulls."""
        known, schema = self._known, batch.schema
        if schema is not known[0] and schema != known[0]:
            known = self._known = self._look_at(schema)
        words = self._words()
        start = ctypes.addressof(words)
        batch._export_to_c(start)
        FIND.run(start, known[1], len(self._columns), start + 8 * ARRAY_WORDS)
        if words[ARRAY_WORDS]:
            for name, _ in self._columns:
                tensor_column.refuse_nulls(batch.column(name))
        return words[ARRAY_WORDS + 1 :]

    def _look_at(self, schema: pa.Schema) -> tuple[pa.Schema, int, np.ndarray]:
        """A schema, and the kernel's table of the columns in its batches: where it is, itself."""
        rows = [
            TensorColumn(schema.get_field_index(name), layout.num_bytes, layout.dtype.itemsize)
            for name, layout in self._columns
        ]
        table = np.array(rows, np.int64)
        return schema, address(table), table
