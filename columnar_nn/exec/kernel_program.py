"""Calls of vector functions compiled into one program of kernels, from columns to arrays."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidPlanError
from columnar_nn.exec.tensor_addresses import TensorAddresses
from columnar_nn.expressions.expression import Call, FieldReference, topological
from columnar_nn.expressions.types import tensor_shape
from columnar_nn.functions import registry
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.kernels import Layout, Program
from columnar_nn.kernels.layout import Kind
from columnar_nn.kernels.placement import Placement
from columnar_nn.kernels.program import Order
from columnar_nn.kernels.regions import IMAGE_BY_IMAGE, Regions
from columnar_nn.kernels.regions import choose as choose_regions
from columnar_nn.plan.rewrites.choose_algorithm import choose_algorithm

if TYPE_CHECKING:
    from columnar_nn.exec.step_stats import StepStats
    from columnar_nn.kernels import Team, TeamProgram

SCRATCH_BYTES = 256 * 2**20
"""Most memory for a batch's intermediate values; larger batches are computed in parts."""

_KINDS: dict[Any, Kind] = {pa.uint8(): "uint8", pa.float32(): "planar"}


class KernelProgram:
    """The values of `roots`, a column of tensors each, or of BIGINT.

    `order` says whether each image goes through all kernels, or all images through each. An
    expression that several roots share is computed once. Safe to run from several threads.

    Winograd's algorithm would spread NaN and infinity over a whole tile, and make some of values
    near the largest float32: a batch where it meets one, in any layer, is convolved directly.
    """

    def __init__(self, roots: Sequence[Call], order: Order, keep_denormals: bool) -> None:
        self.roots = tuple(roots)
        self._order: Order = order
        self._keep_denormals = keep_denormals
        assembly = Assembly()
        columns, values = _assemble(assembly, self.roots)
        outputs = [
            value if value.layout.kind == "int64" else assembly.planar(value) for value in values
        ]
        self._columns = tuple(columns)
        self._addresses = TensorAddresses([(name, v.layout) for name, v in columns.items()])
        inputs = [value.buffer for value in columns.values()]
        written = list(dict.fromkeys(v.buffer for v in outputs if v.buffer not in inputs))
        kernels = [step.kernel for step in assembly.steps]
        regions = choose_regions(kernels) if order == "image" else IMAGE_BY_IMAGE
        self._program = Program(
            tuple(assembly.steps), tuple(inputs), tuple(written), keep_denormals, regions
        )
        buffers = [*inputs, *written]
        self._results = [
            (buffers.index(value.buffer), value.layout.dtype, tensor_shape(root.type))
            for root, value in zip(self.roots, outputs, strict=True)
        ]
        self._written_bytes = [self._program.layouts[buffer].num_bytes for buffer in written]
        self.output_bytes = sum(self._written_bytes)
        """Bytes that a row writes."""
        self._most_rows = sys.maxsize
        if order == "step" and self.placement.num_bytes:
            self._most_rows = max(1, SCRATCH_BYTES // self.placement.num_bytes)
        self._team_program: TeamProgram | None = None
        self._assembly = assembly

    @functools.cached_property
    def steps(self) -> tuple[StepStats, ...]:
        """Work a row of every kernel step."""
        return tuple(_step_stats(self._assembly))

    @property
    def placement(self) -> Placement:
        """Where the intermediate values of an image lie."""
        return self._program.placement

    @property
    def regions(self) -> Regions:
        """Which of the steps groups of images go through."""
        return self._program.regions

    @property
    def group_bytes(self) -> int:
        """Bytes of the intermediate values of a group of images, and of the image before it."""
        return self._program.group_placement.num_bytes

    @functools.cached_property
    def _direct(self) -> KernelProgram:
        """The same values from the same steps, all convolutions direct."""
        roots = choose_algorithm("direct")(self.roots)
        calls = [root for root in roots if isinstance(root, Call)]
        program = KernelProgram(calls, self._order, self._keep_denormals)
        program.prepare()
        return program

    def prepare(self) -> None:
        """Loads every kernel from the cache, compiling those that it lacks."""
        for step in self._program.steps:
            step.kernel.load()

    def allocate(self, rows: int) -> list[pa.Buffer]:
        """Memory for what `rows` rows write."""
        return [pa.allocate_buffer(rows * size) for size in self._written_bytes]

    def run(
        self,
        batch: pa.RecordBatch,
        outputs: Sequence[int],
        first: int,
        step_nanoseconds: np.ndarray | None = None,
        team: Team | None = None,
    ) -> None:
        """Computes a batch into rows `first` and on of the memory at the addresses `outputs`.

        Adds the time of each step to `step_nanoseconds`; with a team, whose threads share the
        work, steps are not timed.
        """
        rows = batch.num_rows
        if not outputs:
            return
        addresses = self._addresses.of(batch)
        for start, size in zip(outputs, self._written_bytes, strict=True):
            addresses.append(start + first * size)
        if not self._run_at(addresses, rows, step_nanoseconds, team):
            self._direct.run(batch, outputs, first, step_nanoseconds, team)

    def _run_at(
        self,
        addresses: Sequence[int],
        rows: int,
        step_nanoseconds: np.ndarray | None,
        team: Team | None,
    ) -> bool:
        """As Program.run_at, in parts that fit into memory."""
        if rows > self._most_rows:
            return all(
                self._program.run_at(
                    addresses,
                    min(rows - start, self._most_rows),
                    self._order,
                    step_nanoseconds,
                    start,
                )
                for start in range(0, rows, self._most_rows)
            )
        if team is None:
            return self._program.run_at(addresses, rows, self._order, step_nanoseconds)
        if self._team_program is None or self._team_program.team is not team:
            from columnar_nn.kernels import TeamProgram, useful_parts  # of several threads

            self._team_program = TeamProgram(self._program, team, useful_parts(self._program, team))
        return self._team_program.run_at(addresses, rows, self._order)

    def columns(self, buffers: Sequence[pa.Buffer], rows: int) -> list[pa.Array | None]:
        """The roots' columns over the memory of `rows` rows; None for those that are inputs."""
        return [self._column(buffers, rows, *result) for result in self._results]

    def _column(
        self,
        buffers: Sequence[pa.Buffer],
        rows: int,
        index: int,
        dtype: np.dtype,
        shape: tuple[int, ...] | None,
    ) -> pa.Array | None:
        if index < len(self._columns):
            return None
        buffer = buffers[index - len(self._columns)]
        if shape is None:
            return pa.Array.from_buffers(pa.int64(), rows, [None, buffer])
        return tensor_column.from_buffer(buffer, rows, dtype, shape)

    def input_column(self, batch: pa.RecordBatch, position: int) -> pa.Array:
        """A root that is an input column in its own shape."""
        index, _, shape = self._results[position]
        values = tensor_column.to_numpy(batch.column(self._columns[index]))
        return tensor_column.from_numpy(values.reshape(batch.num_rows, *(shape or ())))

    def memory_bytes(self, rows: int) -> int:
        """What a thread holds for a batch of `rows` rows: intermediate values and results."""
        scratch = self._program.scratch_bytes(self._order, min(rows, self._most_rows))
        return scratch + rows * self.output_bytes


def _assemble(assembly: Assembly, roots: Sequence[Call]) -> tuple[dict[str, Value], list[Value]]:
    """Adds the kernels of everything under `roots`: (columns read, values of the roots)."""
    values: dict[int, Value] = {}
    columns: dict[str, Value] = {}
    for expression in topological(roots):
        if isinstance(expression, FieldReference):
            if expression.name not in columns:
                columns[expression.name] = assembly.input(_column_layout(expression))
            values[id(expression)] = columns[expression.name]
        elif isinstance(expression, Call):
            assembly.call = expression
            inputs = [values[id(source)] for source in expression.tensors]
            function = registry.VECTOR_FUNCTIONS[expression.function]
            values[id(expression)] = function.assemble(assembly, expression, inputs)
    assembly.call = None
    return columns, [values[id(root)] for root in roots]


def _column_layout(column: FieldReference) -> Layout:
    shape = tensor_shape(column.type)
    if shape is None or column.type.value_type not in _KINDS:
        raise InvalidPlanError(
            f"column {column.name} holds {column.type}: kernels take uint8 and float32 tensors"
        )
    return Layout(_KINDS[column.type.value_type], shape)


def _step_stats(assembly: Assembly) -> Iterator[StepStats]:
    """The steps' work a row; the operations of a call are counted at the last of its steps."""
    from columnar_nn.exec.step_stats import StepStats  # of who asks what kernels do

    calls = assembly.calls
    for index, (step, call) in enumerate(zip(assembly.steps, calls, strict=True)):
        operations = 0
        if call is not None and (index + 1 == len(calls) or calls[index + 1] is not call):
            operations = registry.VECTOR_FUNCTIONS[call.function].operations(call)
        kernel = step.kernel
        yield StepStats(
            plan_node_id="",
            label="output" if call is None else call.label,
            kernel=kernel.name,
            output_shape=kernel.output_layout.shape,
            operations=operations,
            multiply_adds=kernel.multiply_adds,
            input_bytes=sum(layout.num_bytes for layout in kernel.input_layouts),
            weight_bytes=kernel.weight_bytes,
            output_bytes=kernel.output_layout.num_bytes,
            error_bound=kernel.error_bound,
        )
