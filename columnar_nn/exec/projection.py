"""The expressions of a plan node compiled: kernel programs, then scalar functions."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from columnar_nn.exec.kernel_program import KernelProgram
from columnar_nn.expressions.expression import (
    Call,
    Cast,
    Constant,
    Expression,
    FieldReference,
    topological,
    transform,
    with_inputs,
)
from columnar_nn.functions.resolve import is_vector_call
from columnar_nn.kernels.program import Order

if TYPE_CHECKING:
    from columnar_nn.exec.step_stats import StepStats
    from columnar_nn.kernels import Team


def kernel_roots(roots: Sequence[Expression]) -> list[Call]:
    """Vector-function calls whose results leave the kernels: as columns, or to scalar functions."""
    found: dict[int, Call] = {}

    def visit(expression: Expression) -> None:
        if is_vector_call(expression):
            found[id(expression)] = expression

    for root in roots:
        visit(root)
    for expression in topological(roots):
        if not (is_vector_call(expression)):
            for source in expression.inputs:
                visit(source)
    return list(found.values())


def kernel_arguments(roots: Sequence[Expression]) -> list[Expression]:
    """What scalar functions compute for kernels to read: images decoded, perhaps."""
    found: dict[int, Expression] = {}
    for expression in topological(roots):
        if is_vector_call(expression):
            for source in expression.tensors:
                if not (is_vector_call(source) or isinstance(source, FieldReference)):
                    found[id(source)] = source
    return list(found.values())


OUTPUT_BLOCK_BYTES = 64 * 1024
"""Memory that the outputs of small batches share: a batch kept by its consumer keeps it alive."""


class _OutputBlock:
    """Memory and columns for what the kernels of a projection write, handed out row by row.

    To make Arrow arrays takes longer than to slice them: 40 us a batch on a slow core, 6% of the
    time of a small network on one image. Rows are written before they are handed out, once.
    """

    def __init__(self, programs: Sequence[KernelProgram], rows: int) -> None:
        self._rows = self.rows_left = rows
        self.buffers = [program.allocate(rows) for program in programs]
        self.addresses = [[buffer.address for buffer in mine] for mine in self.buffers]
        self.columns = {
            id(root): column
            for program, buffers in zip(programs, self.buffers, strict=True)
            for root, column in zip(program.roots, program.columns(buffers, rows), strict=True)
            if column is not None
        }
        self.batch: pa.RecordBatch | None = None

    def take(self, rows: int) -> int:
        """Number of the first of `rows` rows that are the caller's from now on."""
        first = self._rows - self.rows_left
        self.rows_left -= rows
        return first


class Projection:
    """Expressions with types over batches of one schema, compiled once and run any number of times.

    Safe to run from several threads at once.
    """

    def __init__(
        self,
        names: Sequence[str],
        expressions: Sequence[Expression],
        keep_denormals: bool,
    ) -> None:
        self.schema = pa.schema(
            [pa.field(n, e.type) for n, e in zip(names, expressions, strict=True)]
        )
        self._arguments: Projection | None = None
        self._columns: list[str] = []
        arguments = kernel_arguments(expressions)
        if arguments:
            expressions = self._read_arguments(expressions, arguments, keep_denormals)
        self._expressions = tuple(expressions)
        roots = kernel_roots(expressions)
        groups: dict[Order, list[Call]] = {"image": [], "step": []}
        for root in roots:
            groups["image" if root.function == "pipeline" else "step"].append(root)
        self._programs = tuple(
            KernelProgram(calls, order, keep_denormals) for order, calls in groups.items() if calls
        )
        row_bytes = sum(program.output_bytes for program in self._programs)
        self._block_rows = OUTPUT_BLOCK_BYTES // row_bytes if row_bytes else 0
        self._blocks = threading.local()
        self._memory = (0, 0)  # rows last asked for, and their bytes
        self._scalars: tuple[Call | Cast | Constant, ...] = tuple(
            expression
            for expression in topological(expressions)
            if isinstance(expression, (Cast, Constant))
            or (isinstance(expression, Call) and not is_vector_call(expression))
        )

    def _read_arguments(
        self,
        expressions: Sequence[Expression],
        arguments: Sequence[Expression],
        keep_denormals: bool,
    ) -> list[Expression]:
        """The expressions over columns that they read, and those that arguments become first."""
        read = {e.name for e in topological(expressions) if isinstance(e, FieldReference)}
        free = (name for i in itertools.count() if (name := f"argument {i}") not in read)
        names = list(itertools.islice(free, len(arguments)))
        self._arguments = Projection(names, arguments, keep_denormals)
        columns = {
            id(e): FieldReference(name, e.type) for e, name in zip(arguments, names, strict=True)
        }
        changed = transform(
            expressions, lambda e, inputs: columns.get(id(e)) or with_inputs(e, inputs)
        )
        left = (e.name for e in topological(changed) if isinstance(e, FieldReference))
        self._columns = [name for name in left if name in read]
        return changed

    @property
    def programs(self) -> tuple[KernelProgram, ...]:
        """All of its kernel programs, in the order in which they run."""
        return (*(self._arguments.programs if self._arguments else ()), *self._programs)

    @property
    def steps(self) -> tuple[StepStats, ...]:
        """Work a row of every kernel step, program after program."""
        return tuple(step for program in self.programs for step in program.steps)

    def prepare(self) -> None:
        """Loads every kernel from the cache, compiling those that it lacks."""
        for program in self.programs:
            program.prepare()
        if self._scalars:
            from columnar_nn.exec import scalar_values  # which a network alone does not need

            scalar_values.load(self._scalars)

    def memory_bytes(self, rows: int) -> int:
        """What kernels hold for a batch of `rows` rows: intermediate values and results."""
        known_rows, known_bytes = self._memory
        if known_rows != rows:
            known_bytes = sum(program.memory_bytes(rows) for program in self.programs)
            self._memory = (rows, known_bytes)
        return known_bytes

    def evaluate(
        self,
        batch: pa.RecordBatch,
        step_nanoseconds: np.ndarray | None = None,
        team: Team | None = None,
    ) -> pa.RecordBatch:
        """The expressions of every row; see KernelProgram.run for the other arguments."""
        rows = batch.num_rows
        start = 0
        if self._arguments is not None:
            start = len(self._arguments.steps)
            batch = self._with_arguments(batch, step_nanoseconds, team)
        block = self._block(rows)
        first = block.take(rows)
        for program, outputs in zip(self._programs, block.addresses, strict=True):
            nanoseconds = None
            if step_nanoseconds is not None:
                nanoseconds = step_nanoseconds[start : start + len(program.steps)]
                start += len(program.steps)
            program.run(batch, outputs, first, nanoseconds, team)
        if block.batch is not None:
            return block.batch.slice(first, rows)
        return self._gather(batch, block, first)

    def _with_arguments(
        self, batch: pa.RecordBatch, step_nanoseconds: np.ndarray | None, team: Team | None
    ) -> pa.RecordBatch:
        """The columns that the expressions read, those of the arguments among them."""
        assert self._arguments is not None
        computed = self._arguments.evaluate(batch, step_nanoseconds, team)
        columns = [batch.column(name) for name in self._columns] + computed.columns
        return pa.RecordBatch.from_arrays(columns, [*self._columns, *computed.schema.names])

    def _block(self, rows: int) -> _OutputBlock:
        """This thread's memory for outputs, with room for a batch."""
        block: _OutputBlock | None = getattr(self._blocks, "block", None)
        if block is None or block.rows_left < rows:
            small = rows <= self._block_rows // 8
            block = _OutputBlock(self._programs, self._block_rows if small else rows)
            columns = [block.columns.get(id(expression)) for expression in self._expressions]
            if None not in columns:
                block.batch = pa.RecordBatch.from_arrays(columns, schema=self.schema)
            if small:
                self._blocks.block = block
        return block

    def _gather(self, batch: pa.RecordBatch, block: _OutputBlock, first: int) -> pa.RecordBatch:
        """Columns of the kernels, of the input and of scalar functions as one batch."""
        rows = batch.num_rows
        values: dict[int, Any] = {
            root: column.slice(first, rows) for root, column in block.columns.items()
        }
        for program in self._programs:
            for position, root in enumerate(program.roots):
                if id(root) not in values:
                    values[id(root)] = program.input_column(batch, position)
        if self._scalars:
            from columnar_nn.exec import scalar_values

            scalar_values.compute(self._scalars, self._expressions, batch, values)
        columns = [
            batch.column(expression.name)
            if isinstance(expression, FieldReference)
            else values[id(expression)]
            for expression in self._expressions
        ]
        return pa.RecordBatch.from_arrays(
            [pa.repeat(c, rows) if isinstance(c, pa.Scalar) else c for c in columns],
            schema=self.schema,
        )
