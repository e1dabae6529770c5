"""HashAggregation: groups of equal keys, aggregated by Arrow's hash kernels.

Input is collected as the few columns that matter and reduced to one row a group whenever
`REDUCE_ROWS` have come together, so that memory follows the number of groups.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from columnar_nn.exec.operators.base import Operator
from columnar_nn.exec.projection import Projection
from columnar_nn.kernels import Team
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


class HashAggregation(Operator):
    """One group for each combination of keys; null is a key like any other.

    Without keys there is one group, even of no rows: its count is 0 and the rest null. The
    order of the groups is unspecified.
    """

    operator_type = "Aggregation"

    def __init__(
        self, node: AggregationNode, arguments: Projection | None, team: Team | None = None
    ) -> None:
        """`arguments` computes the keys and the aggregates' arguments; None in step FINAL.

        A `team` shares its kernels' work.
        """
        super().__init__(node.id)
        self._node = node
        self._arguments = arguments
        self._team = team
        self._collected: list[pa.RecordBatch] = []
        self._num_rows = 0
        self._states: pa.Table | None = None
        self._finished = False

    def needs_input(self) -> bool:
        """Until there is no more."""
        return not self._no_more_input

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Keeps keys and arguments, and reduces them when there are many."""
        kept = batch
        if self._arguments is not None:
            kept = self._arguments.evaluate(batch, team=self._team)
        self._collected.append(kept)
        self._num_rows += kept.num_rows
        self.memory_bytes += kept.nbytes
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
        self.memory_bytes = self._states.nbytes if self._states is not None else 0

    def _states_of_collected(self, keys: list[str]) -> pa.Table:
        if self._arguments is None:
            return self._states_of_partials(keys)
        schema = self._arguments.schema
        rows = pa.Table.from_batches(self._collected, schema)
        calls = []
        for index, aggregate in enumerate(self._node.aggregates):
            for state, (make, _) in enumerate(_STATES[aggregate.function]):
                column = _argument_name(index) if aggregate.argument is not None else None
                calls.append((column, make, _state_name(index, state)))
        return _grouped(rows, keys, calls)

    def _states_of_partials(self, keys: list[str]) -> pa.Table:
        """What PARTIAL aggregations gave, its structs taken apart into columns."""
        source = self._node.source.output_type
        rows = pa.Table.from_batches(self._collected, source)
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


def argument_names(node: AggregationNode) -> list[str]:
    """Names of the columns that `arguments` computes: the keys, then the arguments."""
    arguments = [_argument_name(i) for i, a in enumerate(node.aggregates) if a.argument is not None]
    return [*node.grouping_keys, *arguments]


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
