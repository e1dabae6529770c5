"""The columnar engine of this project behind the common interface: one task a stream of batches.

A configuration is "<fusion>/<algorithm>": what is computed in one pass, and how convolutions are
computed (see columnar_nn.plan.rewrites); or the default but for denormals, KEEP_DENORMALS, or
but for precision, BFLOAT16.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import length_hint
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from adapters.base import Backend, Configuration, Description, Phase, Settings, Stopwatch
from adapters.operator_profile import OperatorProfile, merged
from columnar_nn.data import tensor_column
from columnar_nn.data.arrow_source import from_batches
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.exec.morsels import UNKNOWN_BATCHES
from columnar_nn.functions.bfloat16 import BFLOAT16, FLOAT32
from columnar_nn.kernels.host import can_flush_denormals, processor_name, vector_width
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.settings import cache_root

if TYPE_CHECKING:
    from columnar_nn.exec.step_stats import StepStats
    from columnar_nn.exec.task import Task

_FUSIONS = {
    "pipeline": "the whole network image by image, a layer one kernel",
    "layer": "layer by layer over the batch, a layer one kernel",
    "none": "each vector function a pass over the batch, as in Velox's ML extension",
}
_ALGORITHMS = {
    "auto": "a layer's cheapest convolution algorithm of those accurate enough",
    "direct": "direct convolution only",
    "winograd": "Winograd convolution wherever it applies, however inaccurate",
    "textbook": "convolution by its definition: plain loops, jitted by numba",
}
DEFAULT, KEEP_DENORMALS = "pipeline/auto", "keep-denormals"


def _configurations() -> dict[str, Configuration]:
    found = {}
    for fusion, algorithm in (
        ("pipeline", "auto"),
        ("pipeline", "direct"),
        ("pipeline", "winograd"),
        ("layer", "auto"),
        ("layer", "direct"),
        ("none", "auto"),
        ("none", "direct"),
        ("pipeline", "textbook"),
        ("none", "textbook"),
    ):
        name = f"{fusion}/{algorithm}"
        role = "default" if name == DEFAULT else "variant"
        found[name] = Configuration(f"{_FUSIONS[fusion]}; {_ALGORITHMS[algorithm]}", role)
    kept = f"as {DEFAULT}, but with denormals as IEEE 754 has them"
    narrow = f"as {DEFAULT}, but convolutions and dense layers in bfloat16"
    return {
        **found,
        KEEP_DENORMALS: Configuration(kept, "variant"),
        BFLOAT16: Configuration(narrow, "variant", precision=BFLOAT16),
    }


class ColumnarBackend(Backend):
    """Plans of columnar_nn, prepared once for uint8 inputs, and for others when first met."""

    name = "columnar"
    package = "llvmlite"
    extra = ""
    configurations = _configurations()
    computes_declared = True

    def __init__(self, graph: Graph, settings: Settings) -> None:
        self._keep_denormals = settings.configuration == KEEP_DENORMALS
        self._precision = BFLOAT16 if settings.configuration == BFLOAT16 else FLOAT32
        alike = self._keep_denormals or self._precision == BFLOAT16
        named = DEFAULT if alike else settings.configuration
        self._fusion, _, algorithm = named.partition("/")
        self._algorithm = settings.algorithm if algorithm == "auto" else algorithm
        self._executables: dict[Any, Executable] = {}
        self._gives_numbers = False
        self._last: tuple[pa.Schema | None, Executable | None] = (None, None)
        self._profiled: list[Task] | None = None
        self.kernel_clock: np.ndarray | None = None
        super().__init__(graph, settings)

    def _build(self) -> None:
        types = [
            tensor_column.tensor_type(
                "uint8", [size for size in spec.shape[1:] if size is not None]
            )
            for spec in self.graph.inputs
        ]
        self._executable(pa.schema(list(zip(self.graph.columns.values(), types, strict=True))))

    def _executable(self, schema: pa.Schema) -> Executable:
        """The network over inputs of the types in a schema, prepared when first asked for."""
        last_schema, executable = self._last
        if executable is not None and (schema is last_schema or schema == last_schema):
            return executable  # by identity first: to compare them after a run takes 20 us
        columns = self.graph.columns
        own = pa.schema([(column, schema.field(column).type) for column in columns.values()])
        types = tuple(own.types)
        if types not in self._executables:
            source = from_batches(own, ())
            projections = network_outputs(self.graph, columns)
            plan = PlanBuilder().table_scan(source).project(projections).plan()
            self._executables[types] = prepare(
                plan,
                self.settings.threads,
                self._fusion,
                self._algorithm,
                keep_denormals=self._keep_denormals,
                precision=self._precision,
            )
        executable = self._executables[types]
        self._gives_numbers = not all(
            isinstance(data_type, pa.FixedShapeTensorType)
            for data_type in executable.output_type.types
        )
        self._last = (schema, executable)
        return executable

    def infer(
        self, batches: Iterable[pa.RecordBatch], stopwatch: Stopwatch
    ) -> Iterator[pa.RecordBatch]:
        """Calls with one batch after another, or a task; all of the time is compute."""
        stream = iter(batches)
        phase = stopwatch.phase("compute")
        with phase:
            batch = next(stream, None)
            if batch is None:
                return
            executable = self._executable(batch.schema)
            rows = batch.num_rows * (1 + length_hint(stream, UNKNOWN_BATCHES - 1))
            called = self._profiled is None and executable.takes_calls(rows)
            output = executable.call(batch, self.kernel_clock) if called else None
        if not called:
            yield from self._by_task(executable, _CountedBatches(batch, stream), phase)
        while output is not None:
            yield self._tensors(output)
            with phase:
                batch = next(stream, None)
                output = None if batch is None else executable.call(batch, self.kernel_clock)

    def _by_task(
        self, executable: Executable, stream: _CountedBatches, phase: Phase
    ) -> Iterator[pa.RecordBatch]:
        with phase:
            task = executable.run({"0": stream}, profile=self._profiled is not None)
            if self._profiled is not None:
                self._profiled.append(task)
            outputs = _regrouped(iter(task), stream, executable.output_type)
            output = next(outputs, None)
        try:
            while output is not None:
                yield self._tensors(output)
                with phase:
                    output = next(outputs, None)
        finally:
            task.close()

    def _tensors(self, output: pa.RecordBatch) -> pa.RecordBatch:
        """The output with places of extremes, one number a row, as tensors without a dimension."""
        if not self._gives_numbers:
            return output
        columns = [
            column
            if isinstance(column.type, pa.FixedShapeTensorType)
            else tensor_column.from_numpy(column.to_numpy(zero_copy_only=False))
            for column in output.columns
        ]
        return pa.RecordBatch.from_arrays(columns, names=output.schema.names)

    def task(self, batches: Iterable[pa.RecordBatch], trace: bool = False) -> Task:
        """A profiled task over at least one batch of images, for its statistics."""
        stream = iter(batches)
        first = next(stream)
        executable = self._executable(first.schema)
        counted = _CountedBatches(first, stream)
        return executable.run({"0": counted}, profile=True, trace=trace)

    def time_kernels(self) -> np.ndarray:
        """Nanoseconds in each kernel step of calls from now on, added up as they run.

        Of an engine of one thread, for streams of one type of image, until `kernel_clock` is None.
        """
        executable = next(iter(self._executables.values()))
        self.kernel_clock = np.zeros(len(executable.steps), np.int64)
        return self.kernel_clock

    def start_profiling(self) -> str:
        """The engine's own clock of every kernel, summed over its threads."""
        self._profiled = []
        return "its clock of every kernel, summed over threads"

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        assert self._profiled is not None
        tasks, self._profiled = self._profiled, None
        names = {node.name for node in self.graph.nodes}
        return merged(
            OperatorProfile(
                nodes=tuple(name for name in step.label.split("+") if name in names),
                operator=step.kernel,
                seconds=step.nanoseconds / 1e9,
                calls=step.rows,
            )
            for task in tasks
            for step in task.stats().steps
        )

    def describe(self) -> Description:
        """Kernels chosen a layer, vector width and layout."""
        from importlib.metadata import version  # takes longer than to build the network

        executable = next(iter(self._executables.values()))
        layers = {
            step.label.partition("+")[0]: step.kernel.removeprefix("conv2d_")
            for step in executable.steps
            if step.kernel.startswith("conv2d")
        }
        asked = self.settings.algorithm
        notes = []
        if asked not in ("auto", self._algorithm):
            notes.append(f"the configuration says {self._algorithm}, not {asked}")
        if self._precision == BFLOAT16:
            if asked not in ("auto", "direct"):
                notes.append(f"{BFLOAT16} convolves directly, not by {asked}")
            notes.append(_bfloat16_note(executable.steps))
        tiled = [step for step in executable.steps if "winograd" in step.kernel]
        if tiled:
            worst = max(tiled, key=lambda step: step.error_bound)
            notes.append(
                "at worst, rounding in Winograd's algorithm changes an output of a layer by "
                f"{worst.error_bound:.1e} of the largest pixel that its tile sees "
                f"({worst.label.partition('+')[0]}); a batch in which it might overflow is "
                "convolved directly"
            )
        layout = f"nChw16c, vectors of {vector_width()} float32 ({processor_name()})"
        if self._precision == BFLOAT16:
            layout = f"NHWC in bfloat16, {layout}"
        return Description(
            versions={name: version(name) for name in ("llvmlite", "pyarrow", "numpy")},
            precision=self._precision,
            layout=layout,
            algorithm=f"{self._algorithm} ({', '.join(map(': '.join, layers.items()))})",
            threads=self.settings.threads,
            denormals="kept" if self._keep_denormals or not can_flush_denormals() else "flushed",
            notes=(*notes, *cache_root.warnings()),
        )

    def close(self) -> None:
        """Ends the threads."""
        for executable in self._executables.values():
            executable.close()


_NARROW = ("conv2d_bfloat16", "dense_bfloat16", "matrix_product_bfloat16")
"""What names of kernels in bfloat16 begin with."""


def _bfloat16_note(steps: Sequence[StepStats]) -> str:
    """How many layers are in bfloat16, by what, and how often numbers change their type."""
    from columnar_nn.kernels.bfloat16 import tile_kind  # not of other configurations

    narrow = sum(step.kernel.startswith(_NARROW) for step in steps)
    bottlenecks = sum("bottleneck_bfloat16" in step.kernel for step in steps)
    changes = sum(step.kernel in ("to_bfloat16", "to_float32") for step in steps)
    unit = {
        "amx": "AMX",
        "vectors": "AVX512_BF16",
        "emulated": "float32 vectors, which emulate AMX: neither that nor AVX512_BF16 is here",
    }[tile_kind()]
    return (
        f"convolutions and dense layers in bfloat16, summed in float32: {narrow}, by {unit}; "
        + f"inverted bottlenecks, depthwise layers in float32: {bottlenecks}; " * bool(bottlenecks)
        + f"changes from float32 and back: {changes}"
    )


class _CountedBatches:
    """The batches, and how many rows each had that has been read but not yet answered."""

    def __init__(self, first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> None:
        self._first: pa.RecordBatch | None = first
        self._others = others
        self.rows: deque[int] = deque()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        batch, self._first = self._first, None
        if batch is None:
            batch = next(self._others)
        self.rows.append(batch.num_rows)
        return batch

    def __length_hint__(self) -> int:
        unread = length_hint(self._others, -1)
        return NotImplemented if unread < 0 else (self._first is not None) + unread


def _regrouped(
    pieces: Iterator[pa.RecordBatch], stream: _CountedBatches, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """One batch of output for each batch of images; large ones come in several pieces."""
    parts: list[pa.RecordBatch] = []
    num_rows = 0
    for piece in pieces:
        while not parts and stream.rows[0] == 0:
            stream.rows.popleft()
            yield pa.RecordBatch.from_pylist([], schema=schema)
        parts.append(piece)
        num_rows += piece.num_rows
        if num_rows == stream.rows[0]:
            stream.rows.popleft()
            yield parts[0] if len(parts) == 1 else pa.concat_batches(parts)
            parts, num_rows = [], 0
    for _ in stream.rows:  # what is left at the end had no rows
        yield pa.RecordBatch.from_pylist([], schema=schema)
