"""HashBuild and HashProbe: the build side as a table, and each batch of the probe side against it.

Rows come in the order of the probe side, those that one row is paired with in the order of the
build side, whatever the number of threads; then, where they are kept, rows of the build side that
are in no pair, in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Condition
from typing import cast

import numpy as np
import pyarrow as pa

from columnar_nn.errors import UsageError, first_line
from columnar_nn.exec.expansion import pieces
from columnar_nn.exec.hash_table import HashTable
from columnar_nn.exec.morsels import SCALAR_MORSEL_ROWS
from columnar_nn.exec.operators.base import Bridge, DriverContext, SinkOperator, SourceOperator
from columnar_nn.exec.operators.expression_operator import ExpressionOperator
from columnar_nn.exec.operators.registry import feeds, runs
from columnar_nn.exec.row_keys import RowKeys
from columnar_nn.expressions.expression import Constant, Expression, FieldReference, topological
from columnar_nn.expressions.types import is_scalar
from columnar_nn.plan.hash_join import HashJoinNode
from columnar_nn.plan.join import JoinNode, given_columns
from columnar_nn.settings import variables

OUTPUT_ROWS = 1024
"""About how many pairs are looked at at a time, however many a batch is in (as Velox's
preferred_output_batch_rows); SCALAR_MORSEL_ROWS where a pair is a few numbers and texts.
"""


class JoinBridge(Bridge):
    """Collects what the drivers of the build side give, then has the table made of it."""

    def __init__(self, num_drivers: int, changed: Condition) -> None:
        self._left = num_drivers
        self._changed = changed
        self._batches: list[tuple[int, pa.RecordBatch]] = []
        self.num_bytes = 0
        self.table: HashTable | None = None
        self._closed = False

    def put(self, sequence: int, batch: pa.RecordBatch) -> None:
        """Adds rows made of morsel `sequence` of the build side."""
        with self._changed:
            self._batches.append((sequence, batch))
            self.num_bytes += batch.nbytes

    def driver_finished(self) -> list[pa.RecordBatch] | None:
        """All rows in order, if this was the last driver; the caller gives their table."""
        with self._changed:
            self._left -= 1
            if self._left:
                return None
            self._batches.sort(key=lambda numbered: numbered[0])
            batches = [batch for _, batch in self._batches]
            self._batches.clear()
        return batches

    def give(self, table: HashTable) -> None:
        """Frees those who wait for the table."""
        with self._changed:
            self.table = table
            self._changed.notify_all()

    def is_closed(self) -> bool:
        """Whether nobody wants the table."""
        return self._closed

    def close(self) -> None:
        """Frees all who wait; no table is made any more."""
        with self._changed:
            self._closed = True
            self._batches.clear()
            self.table = None
            self._changed.notify_all()


@feeds(HashJoinNode)
class HashBuild(SinkOperator):
    """Last operator of the build side: keeps the columns that matter; the last driver groups them.

    Raises UsageError if they take more than the bytes that `settings.variables` allows.
    """

    operator_type = "HashBuild"

    def __init__(self, node: JoinNode, context: DriverContext, source: SourceOperator) -> None:
        super().__init__(node, context, source)
        self._node = node
        self._bridge = cast(JoinBridge, context.bridges[node.id])
        self._source = source
        self._schema = _build_schema(node)
        self._limit = variables.build_bytes()

    @staticmethod
    def make_bridge(num_drivers: Sequence[int], changed: Condition) -> JoinBridge:
        """The bridge."""
        return JoinBridge(num_drivers[0], changed)

    def needs_input(self) -> bool:
        """Until there is no more."""
        return not (self._no_more_input or self._bridge.is_closed())

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Keeps the rows."""
        kept = batch.select(self._schema.names)
        self._bridge.put(self._source.sequence, kept)
        self.memory_bytes += kept.nbytes
        if self._bridge.num_bytes > self._limit:
            raise self._too_large(f"more than {self._limit:,} bytes ({variables.BUILD_BYTES})")

    def _too_large(self, why: str) -> UsageError:
        return UsageError(
            f"the build side of {self._node.name}[{self.plan_node_id}] is too large, {why}: "
            "put the smaller plan there, or give it fewer columns"
        )

    def no_more_input(self) -> None:
        """Makes the table if no other driver has anything to add."""
        super().no_more_input()
        batches = self._bridge.driver_finished()
        if batches is None:
            return
        try:
            rows = pa.Table.from_batches(batches, self._schema).combine_chunks()
        except pa.ArrowInvalid as error:  # more text than a column of strings can hold
            raise self._too_large(first_line(error)) from None
        columns = [_whole(column) for column in rows.columns]
        table = HashTable(
            pa.RecordBatch.from_arrays(columns, schema=self._schema),
            RowKeys(
                [columns[self._schema.names.index(key)] for key in self._node.right_keys],
                rows.num_rows,
            ),
        )
        self.memory_bytes = table.nbytes
        self._bridge.give(table)

    def is_finished(self) -> bool:
        """Once there is no more input, or nobody wants it."""
        return self._no_more_input or self._bridge.is_closed()

    def close(self) -> None:
        """If it has not seen all of its input, nobody wants the table."""
        if not self._no_more_input:
            self._bridge.close()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The column's only chunk."""
    return column.chunk(0) if column.num_chunks else pa.nulls(0, column.type)


def _read_by_filter(node: JoinNode) -> set[str]:
    return {e.name for e in topological(node.expressions) if isinstance(e, FieldReference)}


def _both(node: JoinNode) -> pa.Schema:
    return given_columns(node.left, node.right, "INNER")


def _build_schema(node: JoinNode) -> pa.Schema:
    """Columns of the build side that the join reads; one at least, else there would be no rows."""
    given = {*node.outputs, *_read_by_filter(node)} - set(node.left.output_type.names)
    read = given.union(node.right_keys)
    schema = node.right.output_type
    fields = [field for field in schema if field.name in read]
    return pa.schema(fields or [min(schema, key=lambda field: not is_scalar(field.type))])


class _Candidates:
    """The groups whose keys rows of a batch have, and the pieces to look at at a time.

    A piece has all of the candidates of its rows. If it does not matter which rows are `paired`,
    they count as one.
    """

    def __init__(
        self, batch: pa.RecordBatch, table: HashTable, keys: RowKeys, paired: bool, most: int
    ) -> None:
        self.batch = batch
        self.rows, self.groups = table.find(keys)
        counts = np.ones(batch.num_rows, np.int64)
        if paired and not table.is_unique:
            sizes = np.bincount(self.rows, table.sizes(self.groups), batch.num_rows)
            counts = np.maximum(counts, sizes.astype(np.int64))
        self.pieces = pieces(counts, most)


@runs(HashJoinNode)
class HashProbe(ExpressionOperator):
    """Finds the rows of the build side that have a row's keys, piece by piece of a batch."""

    operator_type = "HashProbe"

    def __init__(self, node: JoinNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._node = node
        self._bridge = cast(JoinBridge, context.bridges[node.id])
        left = set(node.left.output_type.names)
        self._left_outputs = [name for name in node.outputs if name in left]
        self._right_outputs = [name for name in node.outputs if name not in left]
        self._makes_pairs = node.gives_pairs or node.filter is not None
        self._candidates: _Candidates | None = None
        self._table: HashTable | None = None
        self._is_right_paired = np.zeros(0, bool)
        self._unpaired: Iterator[pa.RecordBatch] = iter(())
        self._is_ended = False
        read = _read_by_filter(node)
        pair = [*node.output_type, *(f for f in _both(node) if f.name in read)]
        is_small = all(is_scalar(field.type) for field in pair)
        self._output_rows = SCALAR_MORSEL_ROWS if is_small else OUTPUT_ROWS
        self._left_read = sorted(read & left)
        self._right_read = sorted(read - left)

    @staticmethod
    def computed(node: JoinNode) -> Sequence[tuple[str, Expression]]:
        """The filter, if there is one."""
        return [("keep", node.filter or Constant(True))]

    def is_blocked(self) -> bool:
        """Until the table is there."""
        if self._table is None:
            self._table = self._bridge.table
            if self._table is not None and self._node.keeps_right:
                self._is_right_paired = np.zeros(self._table.rows.num_rows, bool)
        return self._table is None and not self._bridge.is_closed()

    def needs_input(self) -> bool:
        """While no batch is waiting."""
        return self._candidates is None and not (self._no_more_input or self.is_finished())

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Looks its keys up."""
        assert self._table is not None
        if self._node.null_aware and self._table.rows.num_rows:
            batch = batch.filter(batch.column(self._node.left_keys[0]).is_valid())
        keys = RowKeys([batch.column(key) for key in self._node.left_keys], batch.num_rows)
        self._candidates = _Candidates(
            batch, self._table, keys, self._makes_pairs, self._output_rows
        )

    def no_more_input(self) -> None:
        """Sees which rows of the build side are left, if they are kept."""
        super().no_more_input()
        if self._node.keeps_right and self._table is not None:
            self._unpaired = self._alone(self._table, np.flatnonzero(~self._is_right_paired))

    def get_output(self) -> pa.RecordBatch | None:
        """What becomes of the next rows of the batch, or of the build side at the end."""
        while self._candidates is not None:
            piece = next(self._candidates.pieces, None)
            if piece is None:
                self._candidates = None
                return None
            assert self._table is not None
            output = self._join(self._table, self._candidates, *piece)
            if output.num_rows:
                self.memory_bytes = self.kernel_bytes + output.nbytes
                return output
        if not self._no_more_input:
            return None
        alone = next(self._unpaired, None)
        self._is_ended = alone is None
        self.memory_bytes = 0 if alone is None else alone.nbytes
        return alone

    def is_finished(self) -> bool:
        """Once the last row has been given out, or nothing can come of any."""
        done = self._no_more_input and self._candidates is None
        done = done and (self._is_ended or not self._node.keeps_right)
        return done or self._bridge.is_closed() or self._is_vain()

    def close(self) -> None:
        """Lets the table go."""
        self._table = self._candidates = None
        self._unpaired = iter(())

    def _is_vain(self) -> bool:
        """Whether the table alone tells that there are no rows."""
        table, node = self._table, self._node
        if table is None:
            return False
        if node.join_type in ("INNER", "RIGHT", "LEFT SEMI (FILTER)"):
            return not table.rows.num_rows
        return node.null_aware and table.has_null_keys

    def _join(
        self, table: HashTable, candidates: _Candidates, begin: int, end: int
    ) -> pa.RecordBatch:
        """Of the rows `begin` to `end` of the batch."""
        first, last = np.searchsorted(candidates.rows, (begin, end))
        rows, groups = candidates.rows[first:last], candidates.groups[first:last]
        join_type, batch = self._node.join_type, candidates.batch
        members = np.zeros(0, np.int64)
        if self._makes_pairs:
            rows, members = table.pairs(rows, groups)
        if self._node.filter is not None and len(rows):
            keep = self._passes(table, batch, rows, members)
            rows, members = rows[keep], members[keep]
        if self._node.keeps_right:
            self._is_right_paired[members] = True
        if join_type in ("INNER", "RIGHT"):
            return self._output(table, batch, rows, pa.array(members))
        is_paired = np.zeros(end - begin, bool)
        is_paired[rows - begin] = True
        if self._node.keeps_left:
            alone = begin + np.flatnonzero(~is_paired)
            return self._output(table, batch, *_with_unpaired(rows, members, alone))
        chosen = is_paired if join_type == "LEFT SEMI (FILTER)" else ~is_paired
        return self._output(table, batch, begin + np.flatnonzero(chosen), pa.array([]))

    def _passes(
        self, table: HashTable, batch: pa.RecordBatch, rows: np.ndarray, members: np.ndarray
    ) -> np.ndarray:
        """For which pairs the filter is true."""
        columns = [batch.column(name).take(pa.array(rows)) for name in self._left_read]
        taken = pa.array(members)
        columns += [table.rows.column(name).take(taken) for name in self._right_read]
        if not columns:  # a batch of Arrow's without columns has no rows
            columns.append(pa.nulls(len(rows)))
        names = [*self._left_read, *self._right_read] or ["rows"]
        keep = self.evaluate(pa.RecordBatch.from_arrays(columns, names=names)).column(0)
        return np.asarray(keep.fill_null(False).to_numpy(zero_copy_only=False), bool)

    def _output(
        self, table: HashTable, batch: pa.RecordBatch, rows: np.ndarray, members: pa.Array
    ) -> pa.RecordBatch:
        """Rows of the batch, beside `members` of the table if the join gives any of its columns."""
        is_whole = len(rows) == batch.num_rows and (rows == np.arange(len(rows))).all()
        return self._beside(table, batch, None if is_whole else pa.array(rows), members)

    def _beside(
        self, table: HashTable, batch: pa.RecordBatch, rows: pa.Array | None, members: pa.Array
    ) -> pa.RecordBatch:
        """Rows of the batch, all if they are None, and of the table; null where a number is."""
        columns = {}
        for name in self._left_outputs:
            column = batch.column(name)
            columns[name] = column if rows is None else column.take(rows)
        for name in self._right_outputs:
            columns[name] = table.rows.column(name).take(members)
        schema = self._node.output_type
        return pa.RecordBatch.from_arrays([columns[n] for n in schema.names], schema=schema)

    def _alone(self, table: HashTable, members: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Rows of the table beside nulls."""
        schema = self._node.left.output_type
        nowhere = pa.RecordBatch.from_pylist([], schema=schema)
        for begin in range(0, len(members), self._output_rows):
            taken = pa.array(members[begin : begin + self._output_rows])
            rows = pa.nulls(len(taken), pa.int64())
            yield self._beside(table, nowhere, rows, taken)


def _with_unpaired(
    rows: np.ndarray, members: np.ndarray, alone: np.ndarray
) -> tuple[np.ndarray, pa.Array]:
    """The pairs, and rows `alone` beside null, in the order of the rows."""
    if not len(alone):
        return rows, pa.array(members)
    all_rows = np.concatenate([rows, alone])
    order = np.argsort(all_rows, kind="stable")
    all_members = np.concatenate([members, np.zeros(len(alone), members.dtype)])
    is_null = np.arange(len(all_rows)) >= len(rows)
    return all_rows[order], pa.array(all_members[order], mask=is_null[order])
