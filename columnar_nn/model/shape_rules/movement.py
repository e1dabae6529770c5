"""Shapes of operators that only move elements, and of reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Shape
from columnar_nn.model.shape_rules.elementwise import broadcast_shape
from columnar_nn.model.shape_rules.operands import (
    FIXED_BATCH,
    Operands,
    fixed,
    normalized_axes,
    normalized_axis,
)


def _num_elements(dimensions: Sequence[int | None]) -> int:
    """Product of the fixed dimensions; the symbolic batch counts as 1."""
    product = 1
    for dimension in dimensions:
        product *= 1 if dimension is None else dimension
    return product


def flatten(operands: Operands) -> tuple[Shape, ...]:
    """Flatten: [d0 * ... * d(axis-1), d(axis) * ...]; the batch may only stand alone."""
    shape = operands.shape(0)
    axis = operands.attribute("axis")
    if not -len(shape) <= axis <= len(shape):
        raise InvalidModelError(f"axis {axis} is out of range for rank {len(shape)}")
    axis = axis + len(shape) if axis < 0 else axis
    return (tuple(_merged(part) for part in (shape[:axis], shape[axis:])),)


def _merged(dimensions: Sequence[int | None]) -> int | None:
    """One dimension out of several."""
    size = _num_elements(dimensions)
    if None not in dimensions:
        return size
    if size != 1:
        raise InvalidModelError(
            f"dimensions {tuple(dimensions)} would mix images of a batch; {FIXED_BATCH}"
        )
    return None


def reshape(operands: Operands) -> tuple[Shape, ...]:
    """Reshape: 0 copies a dimension (unless allowzero), -1 takes what is left."""
    shape = operands.shape(0)
    target = operands.integer_input(1, "the new shape")
    if target is None:
        raise InvalidModelError("the new shape is missing")
    copies = not operands.attribute("allowzero")
    if target.count(-1) > 1 or min(target, default=0) < -1:
        raise InvalidModelError(f"new shape {target} may hold one -1 and no other negative entry")
    result: list[int | None] = []
    for index, entry in enumerate(target):
        if entry == 0 and copies:
            if index >= len(shape):
                raise InvalidModelError(f"new shape {target} copies dimension {index} of {shape}")
            result.append(shape[index])
        else:
            result.append(entry)
    have, want = _num_elements(shape), _num_elements([d for d in result if d != -1])
    batch_left = None in shape and None not in result
    problem = f"{shape} cannot become {target}"
    if -1 in result:
        if batch_left and have != want:
            raise InvalidModelError(f"{problem} without mixing images of a batch; {FIXED_BATCH}")
        if not want or have % want:
            raise InvalidModelError(f"{problem}: the number of elements differs")
        result[result.index(-1)] = None if batch_left else have // want
    elif batch_left:
        raise InvalidModelError(f"{problem}: it fixes the batch; use -1 or 0 for that dimension")
    elif have != want:
        raise InvalidModelError(f"{problem}: the number of elements differs")
    return (tuple(result),)


def permutation(operands: Operands) -> list[int]:
    """Transpose: which dimension of the input each of the output is; reversed if it is not said."""
    axes = list(range(len(operands.shape(0))))
    perm = operands.integers("perm", axes[::-1])
    if sorted(perm) != axes:
        raise InvalidModelError(f"perm {perm} is no permutation of {len(axes)} dimensions")
    return perm


def transpose(operands: Operands) -> tuple[Shape, ...]:
    """Transpose: dimension i of the output is dimension perm[i] of the input."""
    shape = operands.shape(0)
    return (tuple(shape[axis] for axis in permutation(operands)),)


def squeezed_axes(operands: Operands) -> list[int]:
    """Squeeze: the named dimensions, or every one of size 1, counted from the front."""
    shape = operands.shape(0)
    axes = operands.integer_input(1, "axes")
    if axes is None:
        axes = [axis for axis, dimension in enumerate(shape) if dimension == 1]
    return normalized_axes(axes, len(shape))


def squeeze(operands: Operands) -> tuple[Shape, ...]:
    """Squeeze: drops dimensions of size 1."""
    shape, dropped = operands.shape(0), squeezed_axes(operands)
    if any(shape[axis] != 1 for axis in dropped):
        raise InvalidModelError(f"axes {dropped} of {shape} are not all of size 1")
    return (tuple(d for axis, d in enumerate(shape) if axis not in dropped),)


def unsqueeze(operands: Operands) -> tuple[Shape, ...]:
    """Unsqueeze: puts a 1 at each named place of the output."""
    shape = operands.shape(0)
    axes = operands.integer_input(1, "axes")
    if axes is None:
        raise InvalidModelError("axes are missing")
    rank = len(shape) + len(axes)
    added = normalized_axes(axes, rank)
    remaining = iter(shape)
    return (tuple(1 if axis in added else next(remaining) for axis in range(rank)),)


def concat(operands: Operands) -> tuple[Shape, ...]:
    """Concat: equal shapes but for the size along `axis`, which is added up."""
    shapes = operands.given_shapes()
    if not shapes:
        raise InvalidModelError("there is nothing to concatenate")
    axis = normalized_axis(operands.attribute("axis"), len(shapes[0]))
    rests = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(rests) > 1 or len({len(shape) for shape in shapes}) > 1:
        raise InvalidModelError(f"shapes {shapes} differ outside axis {axis}")
    total = sum(fixed(shape[axis], f"axis {axis}") for shape in shapes)
    return ((*shapes[0][:axis], total, *shapes[0][axis + 1 :]),)


def pad(operands: Operands) -> tuple[Shape, ...]:
    """Pad: beginnings, then ends, for each of `axes` (all by default); negative entries crop."""
    shape = operands.shape(0)
    pads = operands.integer_input(1, "pads")
    axes = operands.integer_input(3, "axes")
    axes = normalized_axes(range(len(shape)) if axes is None else axes, len(shape))
    mode = operands.attribute("mode")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise InvalidModelError(f"mode {mode!r} is unknown")
    if pads is None or len(pads) != 2 * len(axes):
        raise InvalidModelError(f"pads {pads} need two entries for each of axes {axes}")
    result = list(shape)
    for begin, end, axis in zip(pads, pads[len(axes) :], axes, strict=False):
        if begin or end:
            size = fixed(shape[axis], f"axis {axis}")
            if mode == "reflect" and max(begin, end) >= size:
                raise InvalidModelError(f"reflecting {max(begin, end)} of {size} elements")
            if min(begin, 0) + min(end, 0) + size < 0:
                raise InvalidModelError(f"pads {pads} crop more than there is of {shape}")
            result[axis] = size + begin + end
    return (tuple(result),)


def slice_bounds(operands: Operands) -> dict[int, slice]:
    """Slice: the Python slice along each axis it names, clamped to the input.

    An axis that is taken whole maps to slice(None) and may be the symbolic batch.
    """
    shape = operands.shape(0)
    starts, ends = operands.integer_input(1, "starts"), operands.integer_input(2, "ends")
    if starts is None or ends is None or len(starts) != len(ends):
        raise InvalidModelError(f"starts {starts} and ends {ends} must be lists of one length")
    axes = operands.integer_input(3, "axes")
    axes = normalized_axes(range(len(starts)) if axes is None else axes, len(shape))
    steps = operands.integer_input(4, "steps") or [1] * len(starts)
    if len(axes) != len(starts) or len(steps) != len(starts) or 0 in steps:
        raise InvalidModelError(f"axes {axes} and steps {steps} do not fit starts {starts}")
    bounds: dict[int, slice] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if start == 0 and step == 1 and end >= 2**31 - 1:
            bounds[axis] = slice(None)
            continue
        size = fixed(shape[axis], f"axis {axis}")
        # ONNX clamps to [0, size] going forward and to [-1, size - 1] going backward.
        lowest, highest = (0, size) if step > 0 else (-1, size - 1)
        first, last = (
            min(max(bound + size if bound < 0 else bound, lowest), highest)
            for bound in (start, end)
        )
        empty = first < 0  # only backward from before the first element
        bounds[axis] = slice(0, 0) if empty else slice(first, None if last < 0 else last, step)
    return bounds


def slice_(operands: Operands) -> tuple[Shape, ...]:
    """Slice: from starts to ends along `axes` in `steps`, as in Python."""
    result = list(operands.shape(0))
    for axis, bounds in slice_bounds(operands).items():
        if bounds != slice(None):
            result[axis] = len(range(fixed(result[axis], f"axis {axis}"))[bounds])
    return (tuple(result),)


def reduce_(operands: Operands) -> tuple[Shape, ...]:
    """Reductions: the named axes (all, if none) become 1, or vanish without keepdims."""
    shape = operands.shape(0)
    axes = operands.integer_input(1, "axes")
    if not axes and operands.attribute("noop_with_empty_axes"):
        return (shape,)
    reduced = normalized_axes(axes or range(len(shape)), len(shape))
    for axis in reduced:
        fixed(shape[axis], f"axis {axis}")
    if operands.attribute("keepdims"):
        return (tuple(1 if axis in reduced else d for axis, d in enumerate(shape)),)
    return (tuple(d for axis, d in enumerate(shape) if axis not in reduced),)


def expand(operands: Operands) -> tuple[Shape, ...]:
    """Expand: the shape broadcast with the target, a constant; 1 leaves a dimension as it is."""
    target = operands.integer_input(1, "the shape")
    if target is None or min(target, default=1) < 0:
        raise InvalidModelError(f"shape {target} is missing or has a negative entry")
    return (broadcast_shape([operands.shape(0), tuple(target)]),)


def tile(operands: Operands) -> tuple[Shape, ...]:
    """Tile: each dimension as often as `repeats` says; the batch once."""
    shape = operands.shape(0)
    repeats = operands.integer_input(1, "the repeats")
    if repeats is None or len(repeats) != len(shape) or min(repeats, default=1) < 0:
        raise InvalidModelError(f"repeats {repeats} do not fit {shape}")
    return (
        tuple(
            size if count == 1 else fixed(size, "a repeated axis") * count
            for size, count in zip(shape, repeats, strict=True)
        ),
    )


def gathered(operands: Operands) -> tuple[int, np.ndarray]:
    """Gather: its axis and the constant indices, both counted from the front."""
    shape = operands.shape(0)
    axis = normalized_axis(operands.attribute("axis"), len(shape))
    size = fixed(shape[axis], f"axis {axis}")
    indices = operands.constant(1, "an index")
    assert indices is not None
    numbers = indices.astype(np.int64)
    if numbers.size and not -size <= numbers.min() <= numbers.max() < size:
        raise InvalidModelError(f"an index is not among the {size} elements of axis {axis}")
    return axis, np.where(numbers < 0, numbers + size, numbers)


def gather(operands: Operands) -> tuple[Shape, ...]:
    """Gather: the dimension of `axis` becomes those of the indices."""
    shape = operands.shape(0)
    axis, indices = gathered(operands)
    return ((*shape[:axis], *indices.shape, *shape[axis + 1 :]),)


def arg(operands: Operands) -> tuple[Shape, ...]:
    """ArgMax and ArgMin: `axis` becomes 1, or vanishes without keepdims."""
    return without(operands.shape(0), operands.attribute("axis"), operands.attribute("keepdims"))


def without(shape: Shape, axis: int, keepdims: int) -> tuple[Shape, ...]:
    """A shape in which an axis is 1, or gone."""
    axis = normalized_axis(axis, len(shape))
    fixed(shape[axis], f"axis {axis}")
    return ((*shape[:axis], *((1,) if keepdims else ()), *shape[axis + 1 :]),)
