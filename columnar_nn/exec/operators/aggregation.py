"""HashAggregation: groups of equal keys, aggregated by Arrow's hash kernels.

Input is collected as the few columns that matter and reduced to one row a group whenever
`REDUCE_ROWS` have come together, so that memory follows the number of groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from columnar_nn.errors import InvalidDataError
from columnar_nn.exec.operators.base import DriverContext
from columnar_nn.exec.operators.expression_operator import ExpressionOperator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.expressions.expression import Constant, Expression, FieldReference
from columnar_nn.functions import floats
from columnar_nn.plan.nodes import Aggregate, AggregationNode

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
        """Folds what was collected into the states."""
        keys = list(self._node.grouping_keys)
        if self._collected or not (keys or self._states):
            parts = [self._states] if self._states is not None else []
            if self._collected or not keys:
                parts.append(self._states_of_collected(keys))
            merged = pa.concat_tables(parts)
            self._states = _grouped(merged, keys, self._merging()) if len(parts) > 1 else merged
        self._collected.clear()
        self._num_rows = 0
        self._held_bytes = self._states.nbytes if self._states is not None else 0
        self.memory_bytes = self.kernel_bytes + self._held_bytes

    def _states_of_collected(self, keys: list[str]) -> pa.Table:
        rows = pa.Table.from_batches(self._collected, self._projection.schema)
        if self._node.step == "FINAL":
            return self._states_of_partials(rows, keys)
        calls: list[tuple[str | None, str, str]] = []
        columns = {key: rows.column(key) for key in keys}
        for index, aggregate in enumerate(self._node.aggregates):
            column = None
            if aggregate.argument is not None:
                column = _argument_name(index)
                columns[column] = _prepared(aggregate.function, rows.column(column))
            for state, (make, _) in enumerate(_STATES[aggregate.function]):
                calls.append((column, make, _state_name(index, state)))
        return _grouped(pa.table(columns) if columns else rows, keys, calls)

    def _states_of_partials(self, rows: pa.Table, keys: list[str]) -> pa.Table:
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
        return _grouped(pa.table(columns, names=names), keys, self._merging())

    def _merging(self) -> list[tuple[str | None, str, str]]:
        calls: list[tuple[str | None, str, str]] = []
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


def _grouped(rows: pa.Table, keys: list[str], calls: list[tuple[str | None, str, str]]) -> pa.Table:
    """(column or None, function, name of the result) for each group of equal keys.

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
    grouped = source.group_by(numbers, use_threads=False).aggregate(requested)
    # The keys come before the results or, in older versions, after.
    results = [grouped.column(i) for i, n in enumerate(grouped.column_names) if n not in numbers]
    for index in reversed(halves):
        results[index : index + 2] = [_whole(results[index], results[index + 1])]
    grouped_keys = [grouped.column(name) for name in numbers]
    return pa.table(grouped_keys + results, names=[*keys, *(name for _, _, name in calls)])


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
