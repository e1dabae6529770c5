"""Memory as kernels see it: items one after the other, images, copies, and the share of a part.

What is annotated Floats, Blocks, Words or Bytes is where such items begin: `p[i]` is an item,
`p + i` what begins at it, and `p` is false where there is none. Nothing is aligned to more than 4
bytes, words to 8. `floats(p)`, `blocks(p)` ... begin where p does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from columnar_nn.kernels.jitted.blocks import block_type
from columnar_nn.kernels.jitted.compiler import emitted, emitted_as, inlined
from columnar_nn.kernels.jitted.emitter import BLOCK, BYTE, FLOAT, WORD, Emitter, Value
from columnar_nn.kernels.parameters import BLOCK_BYTES, FLOAT_BYTES, WORD_BYTES
from columnar_nn.kernels.primitives import where

integer = types.int64


@dataclass(frozen=True)
class Item:
    """What memory holds: LLVM's type and numba's, bytes from one to the next, alignment."""

    emitted: ir.Type
    typed: types.Type
    num_bytes: int
    align: int


ITEMS = {
    "float": Item(FLOAT, types.float32, FLOAT_BYTES, FLOAT_BYTES),
    "block": Item(BLOCK, block_type, BLOCK_BYTES, FLOAT_BYTES),
    "word": Item(WORD, integer, WORD_BYTES, WORD_BYTES),
    "byte": Item(BYTE, types.uint8, 1, 1),
}
"""By the names of the annotations in `kernels.parameters`."""


class PointerType(types.Type):
    """Numba's type of where items begin."""

    def __init__(self, kind: str) -> None:
        self.item = ITEMS[kind]
        super().__init__(name=f"pointer to {kind}")


@register_model(PointerType)
class _PointerModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, WORD)


POINTERS = {kind: PointerType(kind) for kind in ITEMS}


def copy(target: Any, source: Any, count: int) -> None:
    """Copies so many items from memory to memory of the same kind that does not overlap."""


def clear(target: Any, count: int) -> None:
    """Makes so many items zero."""


def _define(pointer: PointerType) -> None:
    item = pointer.item

    @emitted_as(copy, types.none(pointer, pointer, integer))
    def copy_items(e: Emitter, target: Value, source: Value, count: Value) -> None:
        e.copy(target, source, count * item.num_bytes)

    @emitted_as(clear, types.none(pointer, integer))
    def clear_items(e: Emitter, target: Value, count: Value) -> None:
        e.clear(target, count * item.num_bytes)

    @emitted_as(operator.getitem, item.typed(pointer, integer))
    def load(e: Emitter, start: Value, index: Value) -> Value:
        return e.load(start + index * item.num_bytes, item.emitted, item.align)

    @emitted_as(operator.setitem, types.none(pointer, integer, item.typed))
    def store(e: Emitter, start: Value, index: Value, value: Value) -> None:
        e.store(start + index * item.num_bytes, value, item.align)

    @emitted_as(operator.add, pointer(pointer, integer))
    def advance(e: Emitter, start: Value, count: Value) -> Value:
        return start + count * item.num_bytes

    @emitted_as(bool, types.boolean(pointer))
    def exists(e: Emitter, start: Value) -> Value:
        return start.differs(0)


for _pointer in POINTERS.values():
    _define(_pointer)


def _view(kind: str) -> Callable[..., Any]:
    """A function that takes memory, or an address, as that of items of a kind."""

    def view(e: Emitter, start: Value) -> Value:
        return start

    view.__doc__ = f"Items of kind {kind} from where another memory begins, or from an address."
    given = (*POINTERS.values(), integer)
    made: Callable[..., Any] = emitted(*(POINTERS[kind](start) for start in given))(view)
    return made


floats, blocks, words, bytes_ = map(_view, ("float", "block", "word", "byte"))


@emitted(*(integer(pointer) for pointer in POINTERS.values()))
def address_of(e: Emitter, start: Value) -> Value:
    """The address where memory begins."""
    return start


class ImageType(types.Type):
    """Numba's type of an nchw16c image."""

    def __init__(self) -> None:
        super().__init__(name="image")


image_type = ImageType()
_line_type, _place_type = types.UniTuple(integer, 2), types.UniTuple(integer, 3)


@register_model(ImageType)
class _ImageModel(models.StructModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        members = [("start", integer), ("height", integer), ("width", integer)]
        super().__init__(manager, kind, members)


@emitted(image_type(POINTERS["block"], integer, integer))
def image(e: Emitter, start: Value, height: Value, width: Value) -> Value:
    """Blocks of 16 channels of an image, each of height x width pixels: `image[b, y, x]`."""
    made = ir.Constant(ir.LiteralStructType([WORD] * 3), ir.Undefined)
    for index, value in enumerate((start, height, width)):
        made = e.builder.insert_value(made, value.ir, index)
    return e.of(made)


def _place(e: Emitter, pixels: Value, indices: Value) -> Value:
    """Address of the pixel at indices b, y, x of an image, or of the line at b, y."""
    start, height, width = (e.of(e.builder.extract_value(pixels.ir, i)) for i in range(3))
    b, y, *x = (e.of(e.builder.extract_value(indices.ir, i)) for i in range(indices.type.count))
    offset = (b * height + y) * width
    return start + (offset + x[0] if x else offset) * BLOCK_BYTES


@emitted_as(operator.getitem, block_type(image_type, _place_type))
def _load_pixel(e: Emitter, pixels: Value, place: Value) -> Value:
    return e.load(_place(e, pixels, place), BLOCK)


@emitted_as(operator.getitem, POINTERS["block"](image_type, _line_type))
def _line(e: Emitter, pixels: Value, place: Value) -> Value:
    return _place(e, pixels, place)


@emitted_as(operator.setitem, types.none(image_type, _place_type, block_type))
def _store_pixel(e: Emitter, pixels: Value, place: Value, value: Value) -> None:
    e.store(_place(e, pixels, place), value)


@inlined
def clear_lanes(target: Any, pixels: int, mask: Any) -> None:
    """Zeroes the lanes of consecutive blocks where a mask, one block, is negative.

    The lanes past the last filter have zero weights, but zero times infinity is NaN, which the
    next convolution would spread.
    """
    for pixel in range(pixels):
        target[pixel] = where(mask[0] < 0.0, 0.0, target[pixel])


@inlined
def share(count: int, part: int, parts: int) -> range:
    """The items that one of several equal parts of the work owns, of so many."""
    return range(count * part // parts, count * (part + 1) // parts)


@inlined
def share_either(
    outermost: bool, outer: int, inner: int, part: int, parts: int
) -> tuple[int, int, int, int]:
    """First and end of a part in each of two nested loops.

    Parts share the outer one where `outermost` holds and the inner one elsewhere, and do all of
    the other.
    """
    if outermost:
        return outer * part // parts, outer * (part + 1) // parts, 0, inner
    return 0, outer, inner * part // parts, inner * (part + 1) // parts
