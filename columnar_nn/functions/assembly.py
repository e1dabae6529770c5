"""Kernel steps collected while the calls of an expression are assembled into a program."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import RowShape, row_size
from columnar_nn.kernels import BoundKernel, Layout, Step
from columnar_nn.kernels.layout import Kind
from columnar_nn.record import ValueRecord


class Value(ValueRecord):
    """A tensor in a numbered buffer of the program.

    `layout` says how it lies there; `shape` is what it is called: they differ after a reshape,
    which moves nothing. The elements of `shape` are those of `layout.shape` in row-major order.
    """

    buffer: int
    layout: Layout
    shape: RowShape

    @property
    def is_blocked(self) -> bool:
        """Whether channels of a pixel lie together."""
        return self.layout.kind in ("nchw16c", "nhwc_bf16")

    @property
    def is_narrow(self) -> bool:
        """Whether it lies as an image in bfloat16 under its own shape."""
        return self.layout.kind == "nhwc_bf16" and self.layout.shape == self.shape


class Assembly:
    """Steps in order, each with the call it belongs to; None for a final change of layout.

    Whoever assembles a call sets `call` to it first.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.calls: list[Call | None] = []
        self.call: Call | None = None
        self._num_buffers = 0
        # By buffer, kind and shape: one buffer may be seen under several.
        self._reordered: dict[tuple[int, str, RowShape], Value] = {}

    def new_buffer(self) -> int:
        """Number of a buffer that nothing uses yet."""
        self._num_buffers += 1
        return self._num_buffers - 1

    def input(self, layout: Layout) -> Value:
        """A value that comes from outside the program."""
        return Value(self.new_buffer(), layout, layout.shape)

    def apply(self, kernel: BoundKernel, *inputs: Value) -> Value:
        """The output of a kernel run on values that have the layouts it was bound to."""
        output = Value(self.new_buffer(), kernel.output_layout, kernel.output_layout.shape)
        self.write(kernel, inputs, output.buffer)
        return output

    def write(self, kernel: BoundKernel, inputs: Sequence[Value], buffer: int) -> None:
        """A step that writes, perhaps a part of, a buffer."""
        self.steps.append(Step(kernel, tuple(value.buffer for value in inputs), buffer))
        self.calls.append(self.call)

    def blocked(self, value: Value) -> Value:
        """A C x H x W value as nchw16c, reordered at most once."""
        value = self._wide(value)
        if value.layout.kind == "nchw16c" and value.layout.shape == value.shape:
            return value
        planar = self.planar(value)
        key = (planar.buffer, "nchw16c", value.shape)
        if key not in self._reordered:
            layout = planar.layout.replaced(shape=value.shape)
            self._reordered[key] = self._reorder(planar, layout, "nchw16c")
        return self._reordered[key]

    def planar(self, value: Value) -> Value:
        """A value in row-major order under its own shape, reordered at most once."""
        value = self._wide(value)
        if value.layout.kind == "nchw16c":
            key = (value.buffer, "planar", value.layout.shape)
            if key not in self._reordered:
                self._reordered[key] = self._reorder(value, value.layout, "planar")
            planar = self._reordered[key]
        else:
            planar = value
        return Value(planar.buffer, planar.layout.replaced(shape=value.shape), value.shape)

    def _reorder(self, value: Value, layout: Layout, kind: Kind) -> Value:
        from columnar_nn.kernels.reorder import reorder  # of few small networks

        return self.apply(reorder(layout, kind), value)

    def narrowed(self, value: Value) -> Value:
        """A C x H x W value, or features as C x 1 x 1, as nhwc_bf16, rounded at most once."""
        from columnar_nn.kernels.bfloat16_reorder import FEW_CHANNELS, narrow  # of few plans

        if value.is_narrow:
            return value
        image = value if len(value.shape) == 3 else value.replaced(shape=(*value.shape, 1, 1))
        if value.layout.kind != "planar" or image.shape[0] > FEW_CHANNELS:
            image = self.blocked(image)
        else:
            image = self.planar(image)
        key = (image.buffer, "nhwc_bf16", image.shape)
        if key not in self._reordered:
            self._reordered[key] = self.apply(narrow(image.layout), image)
        return self._reordered[key]

    def _wide(self, value: Value) -> Value:
        """A value in float32, converted at most once."""
        if value.layout.kind != "nhwc_bf16":
            return value
        from columnar_nn.kernels.bfloat16_reorder import widen  # of few plans

        key = (value.buffer, "nchw16c", value.layout.shape)
        if key not in self._reordered:
            self._reordered[key] = self.apply(widen(value.layout), value)
        return self._reordered[key].replaced(shape=value.shape)

    def reshaped(self, value: Value, shape: RowShape) -> Value:
        """The same elements under another shape; nothing moves."""
        assert row_size(shape) == row_size(value.shape)
        return value.replaced(shape=shape)

    def alike(self, first: Value, second: Value) -> tuple[Value, Value]:
        """Both values in one layout: blocked if either is a blocked image, else planar."""
        images = len(first.shape) == len(second.shape) == 3
        if images and (first.is_blocked or second.is_blocked):
            return self.blocked(first), self.blocked(second)
        return self.planar(first), self.planar(second)

    def transposed(self, value: Value, permutation: Sequence[int]) -> Value:
        """A planar value whose axis k is the value's axis `permutation[k]`."""
        source = self.planar(value)
        if list(permutation) == sorted(permutation):
            return source
        from columnar_nn.kernels.rearrange import rearrange  # of few plans

        indices = [np.arange(source.shape[axis]) for axis in permutation]
        return self.apply(rearrange(source.layout, indices, permutation), source)
