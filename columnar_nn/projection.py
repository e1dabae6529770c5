"""A ProjectNode's or FilterNode's expressions compiled: kernel programs, then scalar functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn import tensor_column
from columnar_nn.errors import InvalidDataError, InvalidPlanError
from columnar_nn.expressions import (
    Call,
    Cast,
    Constant,
    Expression,
    FieldReference,
    topological,
)
from columnar_nn.functions import registry
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import RowShape, tensor_shape
from columnar_nn.kernels import Layout, Program
from columnar_nn.kernels.program import Order
from columnar_nn.scalar_functions import SCALAR_FUNCTIONS
from columnar_nn.stats import StepStats

SCRATCH_BYTES = 256 * 2**20
"""Most memory for a batch's intermediate values; larger batches are computed in parts."""


def kernel_roots(roots: Sequence[Expression]) -> list[Call]:
    """Vector-function calls whose results leave the kernels: as columns, or to scalar functions."""
    found: dict[int, Call] = {}

    def visit(expression: Expression) -> None:
        if isinstance(expression, Call) and expression.is_vector_function:
            found[id(expression)] = expression

    for root in roots:
        visit(root)
    for expression in topological(roots):
        if not (isinstance(expression, Call) and expression.is_vector_function):
            for source in expression.inputs:
                visit(source)
    return list(found.values())


@dataclass(frozen=True, eq=False)
class KernelProgram:
    """Vector-function calls computed together: columns in, an array for each of `roots` out.

    `steps` describes the program's steps, in order; `prepare` loads or compiles their kernels.
    """

    roots: tuple[Call, ...]
    order: Order
    program: Program | None = field(init=False)
    columns: tuple[str, ...] = field(init=False)
    steps: tuple[StepStats, ...] = field(init=False)
    _outputs: tuple[tuple[RowShape, Any], ...] = field(init=False)
    _sources: tuple[tuple[bool, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        assembly = Assembly()
        values: dict[int, Value] = {}
        columns: dict[str, Value] = {}
        work: list[tuple[Call, int]] = []
        for expression in topological(self.roots):
            if isinstance(expression, FieldReference):
                if expression.name not in columns:
                    columns[expression.name] = assembly.input(_column_layout(expression))
                values[id(expression)] = columns[expression.name]
            elif isinstance(expression, Call):
                function = registry.VECTOR_FUNCTIONS[expression.function]
                before = len(assembly.steps)
                assembly.label = expression.label
                inputs = [values[id(source)] for source in expression.tensors]
                values[id(expression)] = function.assemble(assembly, expression, inputs)
                work += [(expression, before)] * (len(assembly.steps) - before)
        assembly.label = "output"
        outputs: list[Value] = []
        for root in self.roots:
            value = values[id(root)]
            outputs.append(value if value.layout.kind == "int64" else assembly.planar(value))
        work += [(self.roots[-1], -1)] * (len(assembly.steps) - len(work))
        inputs = [value.buffer for value in columns.values()]
        written = list(dict.fromkeys(v.buffer for v in outputs if v.buffer not in inputs))
        program = Program(tuple(assembly.steps), tuple(inputs), tuple(written)) if written else None
        sources = tuple(
            (v.buffer in inputs, (inputs if v.buffer in inputs else written).index(v.buffer))
            for v in outputs
        )
        set_field = object.__setattr__
        set_field(self, "program", program)
        set_field(self, "columns", tuple(columns))
        set_field(self, "steps", tuple(_step_stats(assembly, work)))
        set_field(self, "_sources", sources)
        shapes = []
        for root, value in zip(self.roots, outputs, strict=True):
            shapes.append((tensor_shape(root.type) or (), value.layout.dtype))
        set_field(self, "_outputs", tuple(shapes))

    def prepare(self) -> None:
        """Loads every kernel from the cache, compiling those that it lacks."""
        for step in self.program.steps if self.program else ():
            _ = step.kernel.function.address

    def run(self, batch: pa.RecordBatch, step_nanoseconds: np.ndarray | None) -> list[np.ndarray]:
        """An array [rows, *shape] for each root; BIGINT results have shape [rows]."""
        inputs = [tensor_column.to_numpy(batch.column(name)) for name in self.columns]
        rows = batch.num_rows
        arrays: dict[int, np.ndarray] = {}
        results = []
        for (is_input, index), (shape, dtype) in zip(self._sources, self._outputs, strict=True):
            if is_input:
                results.append(inputs[index].reshape(rows, *shape))
                continue
            if index not in arrays:
                arrays[index] = np.empty((rows, *shape), dtype)
            results.append(arrays[index].reshape(rows, *shape))
        if self.program is not None and rows:
            written = [arrays[index] for index in range(len(arrays))]
            at_once = self._rows_at_once(rows)
            for start in range(0, rows, at_once):
                part = slice(start, start + at_once)
                self.program.run(
                    [array[part] for array in inputs],
                    [array[part] for array in written],
                    self.order,
                    step_nanoseconds,
                )
        return results

    def _rows_at_once(self, rows: int) -> int:
        if self.order == "image" or self.program is None:
            return rows
        one = max(1, self.program.scratch_bytes("step", 1))
        return min(rows, max(1, SCRATCH_BYTES // one))

    def scratch_bytes(self, rows: int) -> int:
        """Memory a thread holds for intermediate values of a batch of `rows` rows."""
        if self.program is None:
            return 0
        return self.program.scratch_bytes(self.order, self._rows_at_once(rows))


def _column_layout(column: FieldReference) -> Layout:
    shape = tensor_shape(column.type)
    if shape is None:
        raise InvalidPlanError(f"column {column.name} holds {column.type}, not tensors")
    kinds: dict[Any, Any] = {pa.uint8(): "uint8", pa.float32(): "planar"}
    kind = kinds.get(column.type.value_type)
    if kind is None:
        raise InvalidPlanError(
            f"column {column.name} holds {column.type.value_type} tensors: kernels take uint8 "
            "and float32"
        )
    return Layout(kind, shape)


def _step_stats(assembly: Assembly, work: Sequence[tuple[Call, int]]) -> list[StepStats]:
    """The steps' work a row; a call's operations are counted at the last of its steps."""
    stats = []
    for index, (step, label) in enumerate(zip(assembly.steps, assembly.labels, strict=True)):
        call, first = work[index]
        is_last = index + 1 == len(work) or work[index + 1] != (call, first)
        operations = (
            registry.VECTOR_FUNCTIONS[call.function].operations(call)
            if is_last and first >= 0
            else 0
        )
        kernel = step.kernel
        stats.append(
            StepStats(
                plan_node_id="",
                label=label,
                kernel=kernel.name,
                output_shape=kernel.output_layout.shape,
                operations=operations,
                multiply_adds=kernel.multiply_adds,
                input_bytes=sum(layout.num_bytes for layout in kernel.input_layouts),
                weight_bytes=kernel.weight_bytes,
                output_bytes=kernel.output_layout.num_bytes,
            )
        )
    return stats


class Projection:
    """Expressions with types over batches of one schema, compiled once and run any number of times.

    Safe to run from several threads at once.
    """

    def __init__(self, names: Sequence[str], expressions: Sequence[Expression]) -> None:
        self.schema = pa.schema(
            [pa.field(n, e.type) for n, e in zip(names, expressions, strict=True)]
        )
        self._expressions = tuple(expressions)
        roots = kernel_roots(expressions)
        pipelined = tuple(root for root in roots if root.function == "pipeline")
        others = tuple(root for root in roots if root.function != "pipeline")
        self.programs = tuple(
            KernelProgram(group, order)
            for group, order in ((pipelined, "image"), (others, "step"))
            if group
        )
        self._scalars = tuple(
            expression
            for expression in topological(expressions)
            if isinstance(expression, Cast)
            or (isinstance(expression, Call) and not expression.is_vector_function)
        )

    @property
    def steps(self) -> tuple[StepStats, ...]:
        """Work a row of every kernel step, program after program."""
        return tuple(step for program in self.programs for step in program.steps)

    def prepare(self) -> None:
        """Loads every kernel from the cache, compiling those that it lacks."""
        for program in self.programs:
            program.prepare()

    def scratch_bytes(self, rows: int) -> int:
        """Memory a thread holds for intermediate values of a batch of `rows` rows."""
        return sum(program.scratch_bytes(rows) for program in self.programs)

    def evaluate(
        self, batch: pa.RecordBatch, step_nanoseconds: np.ndarray | None = None
    ) -> pa.RecordBatch:
        """The expressions of every row; adds each step's time to `step_nanoseconds`."""
        values: dict[int, Any] = {}
        start = 0
        for program in self.programs:
            stop = start + len(program.steps)
            nanoseconds = None if step_nanoseconds is None else step_nanoseconds[start:stop]
            for root, array in zip(program.roots, program.run(batch, nanoseconds), strict=True):
                values[id(root)] = (
                    pa.array(array) if array.ndim == 1 else tensor_column.from_numpy(array)
                )
            start = stop
        for expression in self._scalars:
            values[id(expression)] = _scalar(expression, batch, values)
        columns = []
        for expression, data in zip(self._expressions, self.schema, strict=True):
            column = _value(expression, batch, values)
            if isinstance(column, pa.Scalar):
                column = pa.repeat(column, batch.num_rows)
            columns.append(column if column.type == data.type else column.cast(data.type))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _value(expression: Expression, batch: pa.RecordBatch, values: Mapping[int, Any]) -> Any:
    if id(expression) in values:
        return values[id(expression)]
    if isinstance(expression, FieldReference):
        return batch.column(expression.name)
    assert isinstance(expression, Constant)
    return pa.scalar(expression.value, expression.type)


def _scalar(expression: Call | Cast, batch: pa.RecordBatch, values: Mapping[int, Any]) -> Any:
    inputs = [_value(source, batch, values) for source in expression.inputs]
    try:
        if isinstance(expression, Cast):
            return inputs[0].cast(expression.type)
        return SCALAR_FUNCTIONS[expression.function].compute(*inputs)
    except pa.ArrowInvalid as error:
        name = expression.function if isinstance(expression, Call) else "cast"
        raise InvalidDataError(f"{name}: {error}; filter such rows out first") from None
