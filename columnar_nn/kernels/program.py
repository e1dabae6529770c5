"""A sequence of bound kernels over numbered buffers, run on the rows of a batch."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from columnar_nn.errors import InvalidDataError, InvalidPlanError
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, address, aligned
from columnar_nn.kernels.placement import Buffer, Placement, place

Order = Literal["image", "step"]

HEADER_WORDS = 8
STEP_WORDS = 8
RUNNER = Kernel("runner", "run", num_arguments=1)


@dataclass(frozen=True)
class Step:
    """One kernel, the numbers of the buffers it reads, and of the one it writes."""

    kernel: BoundKernel
    inputs: tuple[int, ...]
    output: int


@functools.cache
def _runner() -> ctypes._CFunctionType:
    # a function made so releases the interpreter's lock while it runs
    return ctypes.CFUNCTYPE(None, ctypes.c_int64)(RUNNER.address)


@dataclass
class _Memory:
    """What a thread keeps between runs in one order: its table, buffers and scratch."""

    table: np.ndarray
    rows: int
    arena: np.ndarray
    scratch: np.ndarray


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order, and the buffers that come from outside and go there.

    A buffer is written by one step, or by several that each fill a part of it (concat), before
    it is read. Raises InvalidPlanError when a step reads a buffer that nothing wrote or whose
    layout is not the kernel's. Immutable and safe to run from several threads at once: each
    has its own scratch memory, kept from run to run.
    """

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    layouts: dict[int, Layout] = field(init=False)
    placement: Placement = field(init=False)
    _threads: threading.local = field(init=False, default_factory=threading.local)

    def __post_init__(self) -> None:
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
        object.__setattr__(self, "layouts", layouts)
        object.__setattr__(self, "placement", place(self._inner_buffers()))

    def _inner_buffers(self) -> dict[int, Buffer]:
        """One image's tensors that neither come from outside nor go there, by buffer number."""
        outside = {*self.inputs, *self.outputs}
        buffers: dict[int, Buffer] = {}
        for index, step in enumerate(self.steps):
            for number in {*step.inputs, step.output} - outside:
                first = buffers[number].first if number in buffers else index
                buffers[number] = Buffer(_image_stride(self.layouts[number]), first, index)
        return buffers

    def scratch_bytes(self, order: Order, rows: int) -> int:
        """Bytes a thread holds to run `rows` rows: intermediate buffers and kernel scratch."""
        images = rows if order == "step" else 1
        return self.placement.num_bytes * images + self._kernel_scratch_bytes

    @property
    def _kernel_scratch_bytes(self) -> int:
        return max((step.kernel.scratch_floats for step in self.steps), default=0) * 4

    def run(
        self,
        input_arrays: Sequence[np.ndarray],
        output_arrays: Sequence[np.ndarray],
        order: Order = "image",
        step_nanoseconds: np.ndarray | None = None,
    ) -> None:
        """Computes `output_arrays` from `input_arrays`, each [rows, ...] and C-contiguous.

        order "image" takes each row through all steps, with intermediate buffers of one image
        that stay in the core's cache; "step" takes all rows through a step before the next.
        The time of each step is added to `step_nanoseconds` (int64, one item a step).
        Releases the interpreter's lock. Raises InvalidDataError when an array does not fit.
        """
        rows = len(output_arrays[0])
        table = self._memory(order, rows).table
        self._set_run(table, rows, input_arrays, output_arrays)
        table[7] = 0 if step_nanoseconds is None else address(step_nanoseconds)
        _runner()(address(table))

    def team(self, parts: int) -> Team:
        """Memory for `parts` threads that share the work of every image."""
        arena = aligned(self.placement.num_bytes)
        counter = aligned(64).view(np.int64)
        members = []
        for part in range(parts):
            member = self._allocate("image", 1, arena)
            member.table[4:7] = part, parts, address(counter)
            members.append(member)
        return Team(self, tuple(members), counter)

    def _set_run(
        self,
        table: np.ndarray,
        rows: int,
        input_arrays: Sequence[np.ndarray],
        output_arrays: Sequence[np.ndarray],
    ) -> None:
        """Writes the rows and the addresses of outer arrays into a table, once they fit."""
        external: dict[int, int] = {}
        for number, array in zip(
            (*self.inputs, *self.outputs), (*input_arrays, *output_arrays), strict=True
        ):
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
            external[number] = address(array)
        table[1] = rows
        for position, number in self._external_places:
            table[position] = external[number]

    @functools.cached_property
    def _external_places(self) -> tuple[tuple[int, int], ...]:
        """(position in the table, buffer number) of every address that a run brings."""
        outside = {*self.inputs, *self.outputs}
        places = []
        for index, step in enumerate(self.steps):
            entry = HEADER_WORDS + STEP_WORDS * index
            for slot, number in enumerate(step.inputs):
                if number in outside:
                    places.append((entry + 2 + 2 * slot, number))
            if step.output in outside:
                places.append((entry + 6, step.output))
        return tuple(places)

    def _memory(self, order: Order, rows: int) -> _Memory:
        kept: dict[str, _Memory] = self._threads.__dict__
        memory = kept.get(order)
        if memory is None or (order == "step" and memory.rows < rows):
            arena = aligned(self.placement.num_bytes * (rows if order == "step" else 1))
            memory = kept[order] = self._allocate(order, rows, arena)
        return memory

    def _allocate(self, order: Order, rows: int, arena: np.ndarray) -> _Memory:
        images = rows if order == "step" else 1
        scratch = aligned(self._kernel_scratch_bytes)
        table = np.zeros(HEADER_WORDS + STEP_WORDS * len(self.steps), np.int64)
        table[0] = len(self.steps)
        table[2] = order == "step"
        table[3] = address(scratch)
        table[5] = 1
        outside = {*self.inputs, *self.outputs}
        for index, step in enumerate(self.steps):
            entry = HEADER_WORDS + STEP_WORDS * index
            table[entry] = step.kernel.function.address
            table[entry + 1] = address(step.kernel.parameters)
            places = [*enumerate(step.inputs, start=1), (3, step.output)]
            for slot, number in places:
                if number in outside:
                    table[entry + 2 * slot + 1] = self.layouts[number].num_bytes
                else:
                    offset = self.placement.offsets[number] * images
                    table[entry + 2 * slot] = address(arena) + offset
                    stride = _image_stride(self.layouts[number]) if order == "step" else 0
                    table[entry + 2 * slot + 1] = stride
        return _Memory(table, rows, arena, scratch)


@dataclass(frozen=True, eq=False)
class Team:
    """Threads that run one program together, each doing its part of every kernel.

    They wait for each other after each step, by spinning: worth it for one image alone, where
    there is nothing else to share out. Every member must call `run` for the same arrays, each
    from a thread of its own; none returns before the others have done their parts.
    """

    program: Program
    members: tuple[_Memory, ...]
    counter: np.ndarray

    def run(
        self,
        part: int,
        input_arrays: Sequence[np.ndarray],
        output_arrays: Sequence[np.ndarray],
    ) -> None:
        """Does one member's part, as `Program.run` in the order "image" does all."""
        table = self.members[part].table
        self.program._set_run(table, len(output_arrays[0]), input_arrays, output_arrays)
        _runner()(address(table))


def _image_stride(layout: Layout) -> int:
    return -(-layout.num_bytes // 64) * 64
