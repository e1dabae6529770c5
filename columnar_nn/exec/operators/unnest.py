"""Unnest: a row for each element of arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.exec.expansion import pieces, spread
from columnar_nn.exec.operators.base import DriverContext, Operator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.plan.unnest import UnnestNode

OUTPUT_ROWS = 4096
"""Most rows of a batch, if no row has more elements: what is replicated may be large."""


class _Arrays:
    """The arrays of a column: their elements in one, where each begins, and how long it is."""

    def __init__(self, column: pa.Array) -> None:
        if isinstance(column.type, pa.FixedShapeTensorType):
            column = column.storage
        self.elements = column.values
        lengths = pc.list_value_length(column).fill_null(0)
        self.lengths = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
        if pa.types.is_fixed_size_list(column.type):
            rows = column.offset + np.arange(len(column))
            self.begins = rows * column.type.list_size
        else:
            self.begins = column.offsets.to_numpy()[:-1].astype(np.int64)

    def taken(self, rows: np.ndarray, places: np.ndarray) -> pa.Array:
        """The element at a place of each of some rows; null behind the end of a row's array."""
        is_behind = places >= self.lengths[rows]
        mask = is_behind if is_behind.any() else None
        return self.elements.take(pa.array(self.begins[rows] + places, mask=mask))


@runs(UnnestNode)
class Unnest(Operator):
    """Rows in input order, each one's elements in theirs, in batches of bounded size."""

    operator_type = "Unnest"

    def __init__(self, node: UnnestNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._node = node
        self._outputs: Iterator[pa.RecordBatch] | None = None

    def needs_input(self) -> bool:
        """While no batch is waiting."""
        return self._outputs is None and not self._no_more_input

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Keeps the batch for get_output."""
        self._outputs = self._unnested(batch)

    def get_output(self) -> pa.RecordBatch | None:
        """The elements of the next rows of the batch."""
        if self._outputs is None:
            return None
        output = next(self._outputs, None)
        if output is None:
            self._outputs = None
        else:
            self.memory_bytes = output.nbytes
        return output

    def is_finished(self) -> bool:
        """Once the last batch has been unnested."""
        return self._no_more_input and self._outputs is None

    def _unnested(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        node = self._node
        columns = [_Arrays(batch.column(name)) for name in node.unnested]
        counts = np.maximum.reduce([column.lengths for column in columns])
        for begin, end in pieces(counts, OUTPUT_ROWS):
            positions, places = spread(np.zeros(end - begin, np.int64), counts[begin:end])
            if not len(positions):
                continue
            rows = begin + positions
            taken = pa.array(rows)
            arrays = [batch.column(name).take(taken) for name in node.replicated]
            arrays += [column.taken(rows, places) for column in columns]
            if node.ordinality is not None:
                arrays.append(pa.array(places + 1))
            yield pa.RecordBatch.from_arrays(arrays, schema=node.output_type)
