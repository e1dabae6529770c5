"""A sequence of bound kernels over numbered buffers, run on the rows of a batch."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from columnar_nn.errors import InvalidDataError, InvalidPlanError
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, aligned
from columnar_nn.kernels.parameters import FLOAT_BYTES, WORD_BYTES, address
from columnar_nn.kernels.placement import Buffer, Placement, place
from columnar_nn.kernels.regions import IMAGE_BY_IMAGE, Regions
from columnar_nn.kernels.tables import (
    HEADER,
    HEADER_WORDS,
    OUTSIDE,
    OVERFLOW,
    SPOILED_BYTES,
    STEP,
    STEP_WORDS,
    ZERO_DIVISION,
)
from columnar_nn.record import Record

Order = Literal["image", "step"]
RowNumbers = int | np.ndarray

FAILURES = {
    OUTSIDE: "an index lies outside of its row or tuple: check its loops against x.shape and "
    "out.shape, and count from 0",
    OVERFLOW: "an integer exceeds 64 bits: use floats, or test values first",
    ZERO_DIVISION: "an integer is divided by zero: test for it, or use floats",
}
"""What a user's function does wrong, by what it reports."""

RUNNER = Kernel("runner", "run", arguments=("table",))


class Step(Record):
    """One kernel, the numbers of the buffers it reads, and of the one it writes."""

    kernel: BoundKernel
    inputs: tuple[int, ...]
    output: int


class Memory(Record):
    """What a thread keeps between runs in one order: the runner's table, and what it points to.

    `words` is the table with quick access to single items, `spoiled` the word that Winograd's
    convolutions set: see SPOILED_BYTES.
    """

    table: np.ndarray
    words: memoryview
    address: int
    rows: int
    spoiled: memoryview
    keep_alive: tuple[np.ndarray, ...]

    def take_report(self) -> int:
        """What kernels have written to that word, 0 for nothing; forgets it."""
        report: int = self.spoiled[0]
        if report:
            self.spoiled[0] = 0
        return report


class Program:
    """Steps in order, and the buffers that come from outside and go there.

    A buffer is written by one step, or by several that each fill a part of it (concat), before
    it is read. Raises InvalidPlanError when a step reads a buffer that nothing wrote or whose
    layout is not the kernel's. Immutable and safe to run from several threads at once: each
    has its own scratch memory, kept from run to run. `regions` says which steps groups of
    images go through, in the order "image". `placement` is where the buffers between the steps of
    an image lie. While kernels run, their threads take denormals for zero, unless `keep_denormals`.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        keep_denormals: bool = False,
        regions: Regions = IMAGE_BY_IMAGE,
    ) -> None:
        self.steps = steps
        self.inputs = inputs
        self.outputs = outputs
        self.keep_denormals = keep_denormals
        self.regions = regions
        self.layouts = self._checked_layouts()
        self.placement = place(self.inner_buffers())
        self._threads = threading.local()

    def _checked_layouts(self) -> dict[int, Layout]:
        layouts: dict[int, Layout] = {}
        written = set(self.inputs)
        for step in self.steps:
            for number, layout in (
                *zip(step.inputs, step.kernel.input_layouts, strict=True),
                (step.output, step.kernel.output_layout),
            ):
                if not layouts.setdefault(number, layout).lies_as(layout):
                    raise InvalidPlanError(
                        f"buffer {number} holds {layouts[number]}, but kernel "
                        f"{step.kernel.name} needs {layout}: insert a reorder step"
                    )
            missing = [number for number in step.inputs if number not in written]
            if missing:
                raise InvalidPlanError(f"kernel {step.kernel.name} reads unwritten {missing}")
            if step.output in self.inputs:
                raise InvalidPlanError(f"kernel {step.kernel.name} writes an input of the program")
            written.add(step.output)
        if not written.issuperset(self.outputs):
            raise InvalidPlanError(f"nothing writes an output of {self.outputs}")
        return layouts

    def inner_buffers(self) -> dict[int, Buffer]:
        """One image's tensors that neither come from outside nor go there, by buffer number."""
        outside = {*self.inputs, *self.outputs}
        buffers: dict[int, Buffer] = {}
        for index, step in enumerate(self.steps):
            for number in {*step.inputs, step.output} - outside:
                first = buffers[number].first if number in buffers else index
                buffers[number] = Buffer(_image_stride(self.layouts[number]), first, index)
        return buffers

    @functools.cached_property
    def _grouped(self) -> frozenset[int]:
        """Buffers between steps of which each image of a group has its own."""
        grouped = self.steps[self.regions.first_grouped :]
        touched = {number for step in grouped for number in (*step.inputs, step.output)}
        return frozenset(touched.difference(self.inputs, self.outputs))

    @functools.cached_property
    def group_placement(self) -> Placement:
        """Where the buffers of a group of images lie, those of its images side by side."""
        return place(self.group_buffers())

    def group_buffers(self) -> dict[int, Buffer]:
        """A group's tensors that neither come from outside nor go there, by buffer number.

        What the steps before write of each image stays until these have taken the last.
        """
        buffers = self.inner_buffers()
        for number in self._grouped:
            buffer = buffers[number]
            first = 0 if buffer.first < self.regions.first_grouped else buffer.first
            buffers[number] = Buffer(buffer.num_bytes * self.regions.images, first, buffer.last)
        return buffers

    def arena_bytes(self, order: Order, rows: int) -> int:
        """Bytes of intermediate buffers to run `rows` rows."""
        by_step = order == "step"
        return self.placement.num_bytes * rows if by_step else self.group_placement.num_bytes

    def scratch_bytes(self, order: Order, rows: int) -> int:
        """Bytes a thread holds to run `rows` rows: intermediate buffers and kernel scratch."""
        return self.arena_bytes(order, rows) + self._kernel_scratch_bytes

    @property
    def _kernel_scratch_bytes(self) -> int:
        """The most that a step needs, in whole words: the word before it is read as one."""
        most = max((step.kernel.scratch_floats for step in self.steps), default=0)
        return -(-most * FLOAT_BYTES // WORD_BYTES) * WORD_BYTES

    def run(
        self,
        input_arrays: Sequence[np.ndarray],
        output_arrays: Sequence[np.ndarray],
        order: Order = "image",
        step_nanoseconds: np.ndarray | None = None,
    ) -> bool:
        """Computes `output_arrays` from `input_arrays`, each [rows, ...] and C-contiguous.

        See run_at for the order, the times and the result. Raises InvalidDataError when an array
        does not fit.
        """
        rows = len(output_arrays[0])
        arrays = (*input_arrays, *output_arrays)
        for number, array in zip((*self.inputs, *self.outputs), arrays, strict=True):
            layout = self.layouts[number]
            if (
                array.dtype != layout.dtype
                or array.nbytes != rows * layout.num_bytes
                or not array.flags.c_contiguous
            ):
                raise InvalidDataError(
                    f"buffer {number} is {array.dtype} {array.shape}: pass a C-contiguous "
                    f"{layout.dtype} array of {rows} rows of {layout.num_items} items ({layout})"
                )
        return self.run_at([address(array) for array in arrays], rows, order, step_nanoseconds)

    def run_at(
        self,
        addresses: Sequence[int],
        rows: int,
        order: Order = "image",
        step_nanoseconds: np.ndarray | None = None,
        first: int = 0,
    ) -> bool:
        """Computes `rows` rows from row `first` on; `addresses` of the inputs, then the outputs.

        False if a convolution by Winograd's algorithm met NaN, infinity, or values so large that
        its transforms may have made some: then outputs are spoiled that need not be, and an
        activation may have hidden that. They are to be computed directly. Raises InvalidDataError
        if a user's function has used an index outside of its row.

        order "image" takes each row through all steps, with intermediate buffers of one image
        that stay in the core's cache, but for those that `regions` gives to groups of rows; "step"
        takes all rows through a step before the next.
        The time of each step is added to `step_nanoseconds` (int64, one item a step).
        Releases the interpreter's lock.
        """
        memory = self._memory(order, rows)
        self.set_run(memory.words, addresses, first, rows)
        if order == "image":
            memory.words[HEADER.group] = self.regions.group(rows)
        memory.words[HEADER.times] = 0 if step_nanoseconds is None else address(step_nanoseconds)
        RUNNER.run(memory.address)
        return self.judge(memory.take_report())

    def judge(self, report: int) -> bool:
        """What run_at gives of what kernels have reported: see there."""
        if report in FAILURES:
            names = " or ".join(
                dict.fromkeys(name for step in self.steps for name in step.kernel.user_functions)
            )
            raise InvalidDataError(f"function {names}: {FAILURES[report]}")
        return not report

    def set_run(
        self, table: Any, addresses: Sequence[int], first: RowNumbers, rows: RowNumbers
    ) -> None:
        """Tells a thread's table, or its words, to run `rows` rows from row `first` on.

        Or several threads' tables, [words, threads], the same rows or each its own.
        """
        table[HEADER.rows] = rows
        for position, argument, row_bytes in self._outer_places:
            table[position] = addresses[argument] + first * row_bytes

    @functools.cached_property
    def _outer_places(self) -> tuple[tuple[int, int, int], ...]:
        """(position in the table, number of the argument, bytes a row) of what a run brings."""
        outside = (*self.inputs, *self.outputs)
        return tuple(
            (position, outside.index(number), self.layouts[number].num_bytes)
            for index, step in enumerate(self.steps)
            for position, number in _positions(index, step)
            if number in outside
        )

    def _memory(self, order: Order, rows: int) -> Memory:
        kept: dict[str, Memory] = self._threads.__dict__
        memory = kept.get(order)
        if memory is None or memory.rows < rows:
            memory = kept[order] = self.allocate(order, rows)
        return memory

    def allocate(
        self,
        order: Order,
        rows: int,
        shared: tuple[Placement, np.ndarray] | None = None,
    ) -> Memory:
        """Memory for runs of up to `rows` rows, without bound in the order "image".

        `shared` is where the intermediate buffers lie, and memory for them, which other threads
        have, too.
        """
        by_step = order == "step"
        placement, arena = shared or (self.group_placement, aligned(self.arena_bytes(order, rows)))
        scratch = aligned(SPOILED_BYTES + self._kernel_scratch_bytes)
        table = np.zeros(HEADER_WORDS + STEP_WORDS * len(self.steps), np.int64)
        table[HEADER.steps] = len(self.steps)
        table[HEADER.first_grouped] = (
            0 if by_step else min(self.regions.first_grouped, len(self.steps))
        )
        table[HEADER.group] = rows if by_step else self.regions.images
        table[HEADER.flush] = not self.keep_denormals
        table[HEADER.scratch] = address(scratch) + SPOILED_BYTES
        table[HEADER.parts] = 1
        offsets: Mapping[int, int] = placement.offsets
        if by_step:
            offsets = {number: rows * start for number, start in self.placement.offsets.items()}
        outside = {*self.inputs, *self.outputs}
        for index, step in enumerate(self.steps):
            entry = HEADER_WORDS + STEP_WORDS * index
            table[entry + STEP.kernel] = step.kernel.function.address
            table[entry + STEP.parameters] = address(step.kernel.words)
            table[entry + STEP.at_once] = step.kernel.at_once
            for position, number in _positions(index, step):
                layout = self.layouts[number]
                if number in outside:
                    table[position + 1 : position + 3] = layout.num_bytes
                else:
                    table[position] = address(arena) + offsets[number]
                    if by_step or number in self._grouped:
                        table[position + 1] = _image_stride(layout)
        most_rows = rows if by_step else sys.maxsize
        spoiled = scratch[:8].data.cast("q")
        return Memory(table, table.data, address(table), most_rows, spoiled, (arena, scratch))


def _positions(index: int, step: Step) -> list[tuple[int, int]]:
    """(position in the table, buffer number) of a step's inputs and output."""
    entry = HEADER_WORDS + STEP_WORDS * index
    inputs = zip((entry + STEP.first, entry + STEP.second), step.inputs, strict=False)
    return [*inputs, (entry + STEP.output, step.output)]


def _image_stride(layout: Layout) -> int:
    return -(-layout.num_bytes // 64) * 64
