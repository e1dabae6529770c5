"""What one input of a network is given, row by row: a column of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat

import numpy as np
import pyarrow as pa

from bench.data.normalization import Normalization
from bench.data.preparation import Preparation
from bench.data.resize import channels_last, resize
from bench.data.source import Block, ImageShape, Source
from columnar_nn.data import tensor_column
from columnar_nn.model.graph import Shape


@dataclass(frozen=True)
class InputColumn:
    """A column called `name` of what a `source` gives, in the `shape` that is asked for.

    That is the source's own, or the one that a network takes. With a normalization it is float32.
    """

    name: str
    source: Source
    shape: ImageShape
    preparation: Preparation

    @property
    def normalization(self) -> Normalization | None:
        """How pixels are normalized, if they are."""
        return self.preparation.normalization

    @property
    def changes(self) -> str:
        """What becomes of rows before a network has them; "" of nothing."""
        scaling = self.source.scaling
        own = self.shape == self.source.image_shape
        is_said = self.shape and (scaling or not own)
        shape = f" at {shape_text(self.shape)}" if is_said else ""
        parts = [part for part in (scaling, self.normalization) if part]
        return f"{shape} ({'; '.join(map(str, parts))})" if parts else shape

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of what was read (see Facts), and of what else makes the rows."""
        own = self.source.facts.fingerprint
        if self.preparation.shorter_side is None and self.normalization is None:
            return own
        made = f"{own} {self.preparation.shorter_side} {self.normalization}"
        return hashlib.sha256(made.encode()).hexdigest()

    @property
    def type(self) -> pa.FixedShapeTensorType:
        """Of the column in Arrow: tensors of uint8 pixels or of float32."""
        return tensor_column.tensor_type(self._dtype, self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(np.prod(self.shape)) * np.dtype(self._dtype).itemsize

    def fits(self, shape: ImageShape) -> bool:
        """Whether rows can be given in a shape: of images any image's, else only their own."""
        own = self.source.image_shape
        both_images = (len(shape), len(own)) == (3, 3)
        return both_images or self.source.generated or _same_sizes(shape, own)

    def fitted(self, shape: ImageShape, found: Normalization | None) -> InputColumn:
        """The same rows in a shape that `fits`, with a normalization, whose numbers are checked."""
        if found is not None:
            found.check(shape, _channel_axis(shape))
        if shape == self.shape and found == self.normalization:
            return self
        return replace(
            self, shape=shape, preparation=replace(self.preparation, normalization=found)
        )

    def endless(self, start: int) -> Iterator[Block]:
        """The source's blocks, again and again, from row `start` of the set on."""
        passes = (self.source.read(self.shape) for _ in repeat(None))
        for block in chain.from_iterable(passes):
            yield block.rows(start)
            start = max(0, start - len(block))

    def array(self, block: Block) -> pa.FixedShapeTensorArray:
        """A block of the source's as the column has it."""
        rows = block.images
        if _same_sizes(rows.shape[1:], self.shape):
            rows = rows.reshape(len(rows), *self.shape)
        elif rows.shape[1:] != self.shape:
            rows = resize(rows, self.shape)
        if self.normalization is not None:
            rows = self.normalization.of(rows, _channel_axis(self.shape))
        return tensor_column.from_numpy(rows)

    @property
    def _dtype(self) -> str:
        return self.source.dtype if self.normalization is None else "float32"


def shape_text(shape: Shape) -> str:
    """Sizes as messages have them; ? for one that is free."""
    return "x".join("?" if size is None else str(size) for size in shape)


def _same_sizes(shape: ImageShape, other: ImageShape) -> bool:
    """Whether two shapes, not both of images, differ by sizes of 1 alone."""
    sizes = [[size for size in sizes if size > 1] for sizes in (shape, other)]
    return (len(shape), len(other)) != (3, 3) and sizes[0] == sizes[1]


def _channel_axis(shape: ImageShape) -> int:
    """Of images [n, *shape]."""
    return 3 if len(shape) == 3 and channels_last(shape) else 1
