"""HashAggregation: groups of equal keys, aggregated by Arrow's hash kernels.

Input is collected as the few columns that matter and reduced to one row a group whenever
`REDUCE_ROWS` have come together, so that memory follows the number of groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.errors import InvalidDataError
from columnar_nn.exec.distinct_values import DistinctValues
from columnar_nn.exec.grouping import GroupCall, grouped
from columnar_nn.exec.operators.base import DriverContext
from columnar_nn.exec.operators.expression_operator import ExpressionOperator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.expressions.expression import Constant, Expression, FieldReference
from columnar_nn.functions import floats
from columnar_nn.plan.aggregation import Aggregate, AggregationNode

REDUCE_ROWS = 65536

_STATES = {
    "count": (("count", "sum"),),
    "sum": (("sum", "sum"),),
    "min": (("min", "min"),),
    "max": (("max", "max"),),
    "avg": (("sum", "sum"), ("count", "sum")),
}
"""For each aggregate, its states: how one is made of values, and how two are merged."""

_EXTREMES = ("min", "max")


@runs(AggregationNode)
class HashAggregation(ExpressionOperator):
    """One group for each combination of keys; null is a key like any other.

    Without keys there is one group, even of no rows: its count is 0 and the rest null. The
    order of the groups is unspecified.
    """

    operator_type = "Aggregation"

    def __init__(self, node: AggregationNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._node = node
        self._collected: list[pa.RecordBatch] = []
        self._num_rows = 0
        self._held_bytes = 0
        self._states: pa.Table | None = None
        self._distinct = {
            index: DistinctValues(node.grouping_keys, _argument_name(index))
            for index, aggregate in enumerate(node.aggregates)
            if aggregate.distinct
        }
        self._plain = [i for i in range(len(node.aggregates)) if i not in self._distinct]
        self._finished = False

    @staticmethod
    def computed(node: AggregationNode) -> Sequence[tuple[str, Expression]]:
        """The keys and the aggregates' arguments; in step FINAL what PARTIAL ones gave."""
        source = node.source.output_type
        read = source.names if node.step == "FINAL" else node.grouping_keys
        columns: list[tuple[str, Expression]] = [
            (name, FieldReference(name, source.field(name).type)) for name in read
        ]
        if node.step != "FINAL":
            columns += [
                (_argument_name(index), aggregate.argument)
                for index, aggregate in enumerate(node.aggregates)
                if aggregate.argument is not None
            ]
        # count() alone reads no column, but a batch of Arrow's without columns has no rows
        return columns or [("rows", Constant(True))]

    def needs_input(self) -> bool:
        """Until there is no more."""
        return not self._no_more_input

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Keeps keys and arguments, and reduces them when there are many."""
        kept = self._keyed(self.evaluate(batch))
        self._collected.append(kept)
        self._num_rows += kept.num_rows
        self._held_bytes += kept.nbytes
        self.memory_bytes = self.kernel_bytes + self._held_bytes
        if self._num_rows >= REDUCE_ROWS:
            self._reduce()

    def get_output(self) -> pa.RecordBatch | None:
        """All groups, once no more input comes; None if there is no group."""
        if not self._no_more_input or self._finished:
            return None
        self._finished = True
        self._reduce()
        self._take_distinct()
        assert self._states is not None or self._node.grouping_keys
        if self._states is None or not self._states.num_rows:
            return None
        finish = self._partial_column if self._node.step == "PARTIAL" else self._final_column
        columns = [self._states.column(key) for key in self._node.grouping_keys]
        columns += [finish(i, a) for i, a in enumerate(self._node.aggregates)]
        arrays = [
            column.combine_chunks().cast(field.type)
            for column, field in zip(columns, self._node.output_type, strict=True)
        ]
        arrays = [a.combine_chunks() if isinstance(a, pa.ChunkedArray) else a for a in arrays]
        return pa.RecordBatch.from_arrays(arrays, schema=self._node.output_type)

    def is_finished(self) -> bool:
        """Once the groups have been given out."""
        return self._finished

    def _keyed(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """With keys that are equal bit by bit where they are equal."""
        for key in self._node.grouping_keys:
            if pa.types.is_floating(rows.schema.field(key).type):
                index = rows.schema.get_field_index(key)
                column = floats.one_pattern(rows.column(index))
                rows = rows.set_column(index, key, column)
        return rows

    def _reduce(self) -> None:
        """Folds what was collected into the states, and into the distinct values."""
        keys = self._node.grouping_keys
        if self._collected or not (keys or self._states):
            rows = pa.Table.from_batches(self._collected, self._projection.schema)
            for values in self._distinct.values():
                values.add(rows)
            if keys or self._plain:
                made = self._states_of(rows, self._plain)
                self._states = self._merged([self._states, made] if self._states else [made])
        self._collected.clear()
        self._num_rows = 0
        self._held_bytes = self._states.nbytes if self._states is not None else 0
        self._held_bytes += sum(values.nbytes for values in self._distinct.values())
        self.memory_bytes = self.kernel_bytes + self._held_bytes

    def _merged(self, parts: Sequence[pa.Table]) -> pa.Table:
        """The states of all parts; a column that some of them lack is null there."""
        if len(parts) == 1:
            return parts[0]
        rows = pa.concat_tables(parts, promote_options="default")
        calls = [call for call in self._merging() if call[0] in rows.column_names]
        return grouped(rows, self._node.grouping_keys, calls)

    def _take_distinct(self) -> None:
        """Adds the states of what is aggregated of distinct values."""
        tables = {index: values.table() for index, values in self._distinct.items()}
        made = [self._states_of(t, [index]) for index, t in tables.items() if t is not None]
        if made:
            self._states = self._merged([*([self._states] if self._states else []), *made])

    def _states_of(self, rows: pa.Table, indices: Sequence[int]) -> pa.Table:
        """Keys and states of some aggregates, of rows that have their arguments."""
        keys = self._node.grouping_keys
        if self._node.step == "FINAL":
            return self._states_of_partials(rows, keys)
        calls: list[GroupCall] = []
        columns = {key: rows.column(key) for key in keys}
        for index in indices:
            aggregate = self._node.aggregates[index]
            column = None
            if aggregate.argument is not None:
                column = _argument_name(index)
                columns[column] = _prepared(aggregate.function, rows.column(column))
            for state, (make, _) in enumerate(_STATES[aggregate.function]):
                calls.append((column, make, _state_name(index, state)))
        return grouped(pa.table(columns) if columns else rows, keys, calls)

    def _states_of_partials(self, rows: pa.Table, keys: Sequence[str]) -> pa.Table:
        """What PARTIAL aggregations gave, its structs taken apart into columns."""
        names, columns = list(keys), [rows.column(key) for key in keys]
        for index, aggregate in enumerate(self._node.aggregates):
            column = rows.column(aggregate.name)
            for state in range(len(_STATES[aggregate.function])):
                names.append(_state_name(index, state))
                is_struct = pa.types.is_struct(column.type)
                part = pc.struct_field(column, state) if is_struct else column
                is_extreme = aggregate.function in _EXTREMES
                columns.append(_chunkwise(floats.to_ordered, part) if is_extreme else part)
        return grouped(pa.table(columns, names=names), keys, self._merging())

    def _merging(self) -> list[GroupCall]:
        calls: list[GroupCall] = []
        for index, aggregate in enumerate(self._node.aggregates):
            for state, (_, merge) in enumerate(_STATES[aggregate.function]):
                name = _state_name(index, state)
                calls.append((name, merge, name))
        return calls

    def _partial_column(self, index: int, aggregate: Aggregate) -> pa.ChunkedArray:
        assert self._states is not None
        states = [
            self._states.column(_state_name(index, state))
            for state in range(len(_STATES[aggregate.function]))
        ]
        if len(states) == 1:
            return self._final_column(index, aggregate)
        struct = self._node.output_type.field(aggregate.name).type
        arrays = [
            state.combine_chunks().cast(struct.field(i).type) for i, state in enumerate(states)
        ]
        arrays = [a.combine_chunks() if isinstance(a, pa.ChunkedArray) else a for a in arrays]
        return pa.chunked_array([pa.StructArray.from_arrays(arrays, fields=list(struct))])

    def _final_column(self, index: int, aggregate: Aggregate) -> pa.ChunkedArray:
        assert self._states is not None
        first = self._states.column(_state_name(index, 0))
        if aggregate.function in _EXTREMES:
            assert aggregate.argument is not None
            kind = aggregate.type
            return _chunkwise(lambda chunk: floats.from_ordered(chunk, kind), first)
        if aggregate.function != "avg":
            return first
        counts = self._states.column(_state_name(index, 1))
        return pc.divide(first.cast(pa.float64()), counts.cast(pa.float64()))


def _argument_name(index: int) -> str:
    return f"\0argument {index}"  # no user's column is called so


def _state_name(index: int, state: int) -> str:
    return f"\0state {index}.{state}"


def _prepared(function: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """An aggregate's argument as Arrow's kernels must have it.

    Averages are of doubles, whatever they are of; NaN is the largest number.
    """
    if function == "avg":
        return column.cast(pa.float64(), safe=False)
    if function == "sum" and pa.types.is_integer(column.type):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise InvalidDataError(f"sum: {error}; cast the argument to double") from None
    return _chunkwise(floats.to_ordered, column) if function in _EXTREMES else column


def _chunkwise(change: Callable[[Any], Any], column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([change(chunk) for chunk in column.chunks or [column.combine_chunks()]])
