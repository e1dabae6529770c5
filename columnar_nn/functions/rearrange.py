"""slice, transpose, pad, expand, tile and gather: what ONNX calls so, within a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, no_operations
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.rearrange import OUTSIDE, rearrange
from columnar_nn.model.graph import Shape
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules import movement
from columnar_nn.model.shape_rules.operands import Operands

PAD_DEFAULTS = {**OPERATORS["Pad"].defaults, "value": 0.0}

Indices = list[np.ndarray]
"""For each axis of a row's result, which elements of the input's axis it holds."""


def _slice(row: Sequence[int], attributes: Any) -> Indices:
    """`starts`, `stops` and `steps` of Python slices, one an axis; a stop of None is the end."""
    bounds = zip(attributes["starts"], attributes["stops"], attributes["steps"], strict=True)
    return [
        np.arange(size)[start:stop:step]
        for size, (start, stop, step) in zip(row, bounds, strict=True)
    ]


def _transpose(row: Sequence[int], attributes: Any) -> Indices:
    """`perm`: the axis of the input that becomes each axis of the result, the row's first is 0."""
    perm = attributes["perm"]
    if sorted(perm) != list(range(len(row))):
        raise InvalidModelError(f"perm {perm} is no permutation of the axes of a row {row}")
    return [np.arange(row[axis]) for axis in perm]


def _pad(row: Sequence[int], attributes: Any) -> Indices:
    """`pads`: the beginning of each axis, then the end of each; negative ones crop."""
    pads = attributes["pads"]
    mode = attributes.get("mode", PAD_DEFAULTS["mode"])
    return [
        _padded(size, begin, end, mode)
        for size, begin, end in zip(row, pads[: len(row)], pads[len(row) :], strict=True)
    ]


def _padded(size: int, begin: int, end: int, mode: str) -> np.ndarray:
    """Elements of an axis after cropping and padding; OUTSIDE where a constant stands."""
    kept = np.arange(max(0, -begin), size - max(0, -end))
    widths = (max(0, begin), max(0, end))
    if mode == "constant":
        return np.pad(kept, widths, constant_values=OUTSIDE)
    return np.pad(kept, widths, mode=mode)  # type: ignore[call-overload, no-any-return]


def _expand(row: Sequence[int], attributes: Any) -> Indices:
    """`shape`, of a row: what an axis of size 1 holds is repeated."""
    shape = attributes["shape"]
    if len(shape) != len(row) or any(
        size not in (1, target) for size, target in zip(row, shape, strict=True)
    ):
        raise InvalidModelError(f"rows {row} do not broadcast to {shape}")
    return [
        np.arange(target) % size if size else np.arange(0)
        for size, target in zip(row, shape, strict=True)
    ]


def _tile(row: Sequence[int], attributes: Any) -> Indices:
    """`repeats`, of a row: how often each axis comes."""
    repeats = attributes["repeats"]
    if len(repeats) != len(row) or min(repeats, default=1) < 1:
        raise InvalidModelError(f"repeats {repeats} do not fit rows {row}")
    return [np.arange(size * count) % size for size, count in zip(row, repeats, strict=True)]


def _function(
    name: str,
    indices_of: Callable[[Sequence[int], Any], Indices],
    **defaults: Any,
) -> VectorFunction:
    def shape(operands: Operands) -> tuple[Shape, ...]:
        batch, *row = operands.shape(0)
        indices = indices_of([size for size in row if size is not None], operands.node.attributes)
        return ((batch, *map(len, indices)),)

    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        source = assembly.planar(values[0])
        kernel = rearrange(
            source.layout,
            indices_of(source.shape, call.attributes),
            call.attributes.get("perm"),
            call.attributes.get("value", PAD_DEFAULTS["value"]),
        )
        return assembly.apply(kernel, source)

    return VectorFunction(name, shape, assemble, no_operations, defaults)


def _gather_shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, ...] with the length of `indices`, a constant [K], along `axis`; the batch is axis 0."""
    axis = operands.attribute("axis")
    if not 1 <= axis < len(operands.shape(0)) or len(operands.shape(1)) != 1:
        raise InvalidModelError(
            f"axis {axis} of {operands.shape(0)} by indices {operands.shape(1)}: one list of "
            "indices along an axis of a row"
        )
    return movement.gather(operands)


def _gather(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    source = assembly.planar(values[0])
    axis = call.attributes["axis"] - 1
    indices = [np.arange(size) for size in source.shape]
    indices[axis] = call.weights[0] % source.shape[axis]
    return assembly.apply(rearrange(source.layout, indices), source)


_TRANSPOSE = _function("transpose", _transpose)


def _transposed(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """Channels of images to the end, or to the front, where layers and rows want them, in blocks.

    Others are rearranged.
    """
    (value,), perm = values, list(call.attributes["perm"])
    layout, rank = value.layout, len(value.shape)
    is_blocked = layout.kind == "nchw16c" and layout.shape[0] == value.shape[0]
    if is_blocked and rank > 1 and perm == [*range(1, rank), 0]:
        pixels = assembly.apply(kernels.channels_last(layout), value)
        return assembly.reshaped(pixels, (*value.shape[1:], value.shape[0]))
    if rank == 3 and perm == [2, 0, 1] and value.shape[2] >= LANES:
        source = assembly.planar(value)
        return assembly.apply(kernels.channels_first(source.layout), source)
    return _TRANSPOSE.assemble(assembly, call, values)


FUNCTIONS = (
    _function("slice", _slice),
    _TRANSPOSE.replaced(assemble=_transposed),
    _function("pad", _pad, **PAD_DEFAULTS),
    _function("expand", _expand),
    _function("tile", _tile),
    VectorFunction("gather", _gather_shape, _gather, no_operations),
)
