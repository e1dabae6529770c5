"""HashAggregation: groups of equal keys, aggregated by Arrow's hash kernels.

Input is collected as the few columns that matter and reduced to one row a group whenever
`REDUCE_ROWS` have come together, so that memory follows the number of groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from columnar_nn.exec.operators.base import DriverContext
from columnar_nn.exec.operators.expression_operator import ExpressionOperator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.expressions.expression import Constant, Expression, FieldReference
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
        kept = self.evaluate(batch)
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
        calls = []
        for index, aggregate in enumerate(self._node.aggregates):
            for state, (make, _) in enumerate(_STATES[aggregate.function]):
                column = _argument_name(index) if aggregate.argument is not None else None
                calls.append((column, make, _state_name(index, state)))
        return _grouped(rows, keys, calls)

    def _states_of_partials(self, rows: pa.Table, keys: list[str]) -> pa.Table:
        """What PARTIAL aggregations gave, its structs taken apart into columns."""
        names, columns = list(keys), [rows.column(key) for key in keys]
        for index, aggregate in enumerate(self._node.aggregates):
            column = rows.column(aggregate.name)
            for state in range(len(_STATES[aggregate.function])):
                names.append(_state_name(index, state))
                is_struct = pa.types.is_struct(column.type)
                columns.append(pc.struct_field(column, state) if is_struct else column)
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
            return states[0]
        struct = self._node.output_type.field(aggregate.name).type
        arrays = [
            state.combine_chunks().cast(struct.field(i).type) for i, state in enumerate(states)
        ]
        arrays = [a.combine_chunks() if isinstance(a, pa.ChunkedArray) else a for a in arrays]
        return pa.chunked_array([pa.StructArray.from_arrays(arrays, fields=list(struct))])

    def _final_column(self, index: int, aggregate: Aggregate) -> pa.ChunkedArray:
        assert self._states is not None
        first = self._states.column(_state_name(index, 0))
        if aggregate.function != "avg":
            return first
        counts = self._states.column(_state_name(index, 1))
        return pc.divide(first.cast(pa.float64()), counts.cast(pa.float64()))


def _argument_name(index: int) -> str:
    return f"argument {index}"


def _state_name(index: int, state: int) -> str:
    return f"state {index}.{state}"


def _grouped(rows: pa.Table, keys: list[str], calls: list[tuple[str | None, str, str]]) -> pa.Table:
    """(column or None, function, name of the result) for each group of equal keys."""
    requested: list[Any] = []
    for column, function, _ in calls:
        if column is None:
            requested.append(([], "count_all"))
        elif function == "count":
            requested.append((column, "count", pc.CountOptions(mode="only_valid")))
        else:
            requested.append((column, function))
    grouped = rows.group_by(keys, use_threads=False).aggregate(requested)
    # Two results may have one name; the keys come before them or, in older versions, after.
    columns = [grouped.column(key) for key in keys]
    results = (i for i, name in enumerate(grouped.column_names) if name not in keys)
    columns += [grouped.column(index) for index in results]
    return pa.table(columns, names=[*keys, *(name for _, _, name in calls)])
