"""A ProjectNode's or FilterNode's expressions compiled: kernel programs, then scalar functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn import tensor_column
from columnar_nn.errors import InvalidDataError
from columnar_nn.expressions import (
    Call,
    Cast,
    Constant,
    Expression,
    FieldReference,
    topological,
)
from columnar_nn.kernel_program import IdleThreads, KernelProgram
from columnar_nn.kernels.program import Order
from columnar_nn.scalar_functions import SCALAR_FUNCTIONS
from columnar_nn.stats import StepStats


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
        groups: dict[Order, list[Call]] = {"image": [], "step": []}
        for root in roots:
            groups["image" if root.function == "pipeline" else "step"].append(root)
        self.programs = tuple(
            KernelProgram(calls, order) for order, calls in groups.items() if calls
        )
        self._scalars: tuple[Call | Cast | Constant, ...] = tuple(
            expression
            for expression in topological(expressions)
            if isinstance(expression, (Cast, Constant))
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

    def memory_bytes(self, rows: int) -> int:
        """What kernels hold for a batch of `rows` rows: intermediate values and results."""
        return sum(program.memory_bytes(rows) for program in self.programs)

    def evaluate(
        self,
        batch: pa.RecordBatch,
        step_nanoseconds: np.ndarray | None = None,
        idle: IdleThreads | None = None,
    ) -> pa.RecordBatch:
        """The expressions of every row; see KernelProgram.run for the other arguments."""
        values: dict[int, Any] = {}
        start = 0
        for program in self.programs:
            stop = start + len(program.steps)
            nanoseconds = None if step_nanoseconds is None else step_nanoseconds[start:stop]
            arrays = program.run(batch, nanoseconds, idle)
            for root, array in zip(program.roots, arrays, strict=True):
                values[id(root)] = (
                    pa.array(array) if array.ndim == 1 else tensor_column.from_numpy(array)
                )
            start = stop
        for call in self._scalars:
            values[id(call)] = _scalar(call, batch, values)
        columns = [_value(expression, batch, values) for expression in self._expressions]
        if self._scalars:
            columns = [
                pa.repeat(column, batch.num_rows) if isinstance(column, pa.Scalar) else column
                for column in columns
            ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _value(expression: Expression, batch: pa.RecordBatch, values: Mapping[int, Any]) -> Any:
    if isinstance(expression, FieldReference):
        return batch.column(expression.name)
    return values[id(expression)]


def _scalar(
    expression: Call | Cast | Constant, batch: pa.RecordBatch, values: Mapping[int, Any]
) -> Any:
    if isinstance(expression, Constant):
        return pa.scalar(expression.value, expression.type)
    inputs = [_value(source, batch, values) for source in expression.inputs]
    try:
        if isinstance(expression, Cast):
            return inputs[0].cast(expression.type)
        return SCALAR_FUNCTIONS[expression.function].compute(*inputs)
    except pa.ArrowInvalid as error:
        name = expression.function if isinstance(expression, Call) else "cast"
        raise InvalidDataError(f"{name}: {error}; filter such rows out first") from None
