"""Calls of vector functions compiled into one program of kernels, from columns to arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn import tensor_column
from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions import Call, FieldReference, topological
from columnar_nn.functions import registry
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import row_size, tensor_shape
from columnar_nn.kernels import Layout, Program, Team
from columnar_nn.kernels.layout import Kind
from columnar_nn.kernels.placement import Placement
from columnar_nn.kernels.program import Order
from columnar_nn.stats import StepStats

SCRATCH_BYTES = 256 * 2**20
"""Most memory for a batch's intermediate values; larger batches are computed in parts."""

_KINDS: dict[Any, Kind] = {pa.uint8(): "uint8", pa.float32(): "planar"}


@dataclass(frozen=True)
class IdleThreads:
    """Threads with nothing else to do, which share the work of a single image with the caller's."""

    pool: ThreadPoolExecutor
    count: int


class KernelProgram:
    """The values of `roots`, an array [rows, *shape] each, BIGINT ones [rows].

    `order` says whether each image goes through all kernels, or all images through each. An
    expression that several roots share is computed once. Safe to run from several threads.
    """

    def __init__(self, roots: Sequence[Call], order: Order) -> None:
        self.roots = tuple(roots)
        self._order: Order = order
        assembly = Assembly()
        columns, values = _assemble(assembly, self.roots)
        outputs = [
            value if value.layout.kind == "int64" else assembly.planar(value) for value in values
        ]
        self._columns = tuple(columns)
        inputs = [value.buffer for value in columns.values()]
        written = list(dict.fromkeys(v.buffer for v in outputs if v.buffer not in inputs))
        self._program = Program(tuple(assembly.steps), tuple(inputs), tuple(written))
        buffers = [*inputs, *written]
        self._results = [
            (buffers.index(value.buffer), tensor_shape(root.type) or ())
            for root, value in zip(self.roots, outputs, strict=True)
        ]
        shapes = {buffers[index]: shape for index, shape in self._results}
        self._new_arrays = [
            (shapes[buffer], self._program.layouts[buffer].dtype) for buffer in written
        ]
        self._result_bytes = sum(row_size(s) * dtype.itemsize for s, dtype in self._new_arrays)
        self._kernel_bytes = self._program.scratch_bytes("step", 0)
        self._image_bytes = self._program.scratch_bytes("step", 1) - self._kernel_bytes
        self._most_rows = sys.maxsize
        if order == "step" and self._image_bytes:
            self._most_rows = max(1, SCRATCH_BYTES // self._image_bytes)
        self._team: Team | None = None
        self.steps = tuple(_step_stats(assembly))

    @property
    def placement(self) -> Placement:
        """Where the intermediate values of an image lie."""
        return self._program.placement

    def prepare(self) -> None:
        """Loads every kernel from the cache, compiling those that it lacks."""
        for step in self._program.steps:
            _ = step.kernel.function.address

    def run(
        self,
        batch: pa.RecordBatch,
        step_nanoseconds: np.ndarray | None,
        idle: IdleThreads | None = None,
    ) -> list[np.ndarray]:
        """The roots' arrays; adds the time of each step to `step_nanoseconds`.

        One image alone is split over `idle` threads, unless it is timed; one such call at a time.
        """
        rows = batch.num_rows
        inputs = [tensor_column.to_numpy(batch.column(name)) for name in self._columns]
        outputs = [np.empty((rows, *shape), dtype) for shape, dtype in self._new_arrays]
        if outputs and idle is not None and rows == 1 and step_nanoseconds is None:
            self._run_as_team(inputs, outputs, idle)
        elif outputs and rows <= self._most_rows:
            self._program.run(inputs, outputs, self._order, step_nanoseconds)
        elif outputs:
            self._run_in_parts(inputs, outputs, step_nanoseconds)
        arrays = [*inputs, *outputs]
        return [arrays[index].reshape(rows, *shape) for index, shape in self._results]

    def _run_as_team(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], idle: IdleThreads
    ) -> None:
        if self._team is None:
            self._team = self._program.team(idle.count + 1)
        others = [
            idle.pool.submit(self._team.run, part, inputs, outputs)
            for part in range(1, idle.count + 1)
        ]
        self._team.run(0, inputs, outputs)
        for other in others:
            other.result()

    def _run_in_parts(
        self,
        inputs: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
        step_nanoseconds: np.ndarray | None,
    ) -> None:
        for start in range(0, len(outputs[0]), self._most_rows):
            part = slice(start, start + self._most_rows)
            self._program.run(
                [array[part] for array in inputs],
                [array[part] for array in outputs],
                self._order,
                step_nanoseconds,
            )

    def memory_bytes(self, rows: int) -> int:
        """What a thread holds for a batch of `rows` rows: intermediate values and results."""
        scratch = self._image_bytes
        if self._order == "step":
            scratch *= min(rows, self._most_rows)
        return self._kernel_bytes + scratch + rows * self._result_bytes


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
        )
