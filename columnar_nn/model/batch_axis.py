"""Which axis of a tensor holds the images of a batch, followed through every operator.

A tensor has its rows along axis k if element i of that axis depends on image i and on no other;
a weight has none. A rule (`Operator.rows`) is given a node, whose shapes have None where the rows
are, and the axis of each of its inputs, of which one at least has rows. It gives the axis of the
output, or raises MixedRowsError with the reason why the output has no rows: what the node computes
for one image depends on the others, or on how many there are, or on its place among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.shape_rules import movement
from columnar_nn.model.shape_rules.operands import Operands, normalized_axes, normalized_axis

Axis = int | None
"""Where a tensor has its rows; None for a weight."""


class MixedRowsError(Exception):
    """The output of a node does not keep the images of a batch apart; the message says why."""


def reshaped_axis(
    source: Sequence[int], axis: int, target: Sequence[int], batch: int
) -> tuple[int, int]:
    """Where rows along `axis` of a tensor of shape `source` are once it has the shape `target`.

    All dimensions are known; elements keep their order, so the rows are where as many elements
    lie before them, and there are `batch` of them, or several for each image: how many is the
    second result. Among several dimensions of size 1 that could be a batch of one image it is the
    one at `axis`, or the first. Raises MixedRowsError.
    """
    before = math.prod(source[:axis])
    found = [
        (index, size // batch)
        for index, size in enumerate(target)
        if size and size % batch == 0 and math.prod(target[:index]) == before
    ]
    if not found:
        change = f"{tuple(source)} becomes {tuple(target)}"
        raise MixedRowsError(f"it leaves the batch no dimension of its own: {change}")
    alone = [place for place in found if place[1] == 1]
    return (axis, 1) if (axis, 1) in alone else (alone or found)[0]


def first_alone(operands: Operands, axes: Sequence[Axis]) -> int:
    """The axis of the first input, where the others are parameters of the operator."""
    if axes[0] is None or any(axis is not None for axis in axes[1:]):
        raise MixedRowsError("its parameters depend on the images")
    return axes[0]


def of_channels(operands: Operands, axes: Sequence[Axis]) -> int:
    """BatchNormalization, LRN: channels are axis 1."""
    axis = first_alone(operands, axes)
    if axis == 1:
        raise MixedRowsError("it takes axis 1, the batch, for the channels")
    return axis


def pool(operands: Operands, axes: Sequence[Axis]) -> int:
    """Pooling: the rows may be channels too, for each is pooled by itself."""
    axis = first_alone(operands, axes)
    if axis > 1:
        raise MixedRowsError(f"its window moves along axis {axis}, the batch")
    return axis


def conv(operands: Operands, axes: Sequence[Axis]) -> int:
    """Conv sums over the channels."""
    axis = pool(operands, axes)
    if axis == 1:
        raise MixedRowsError("it sums over axis 1, the batch, as its channels")
    return axis


def of_instances(operands: Operands, axes: Sequence[Axis]) -> int:
    """InstanceNormalization, GroupNormalization: all but the rows is summed over or a channel."""
    axis = of_channels(operands, axes)
    if axis:
        raise MixedRowsError(f"it normalises along axis {axis}, the batch")
    return axis


def layer_normalization(operands: Operands, axes: Sequence[Axis]) -> int:
    """LayerNormalization: the rows come before `axis`."""
    axis = first_alone(operands, axes)
    first = normalized_axis(operands.attribute("axis"), len(operands.shape(0)))
    if axis >= first:
        raise MixedRowsError(f"it normalises along axis {axis}, the batch")
    return axis


def mean_variance(operands: Operands, axes: Sequence[Axis]) -> int:
    """MeanVarianceNormalization: not over the rows."""
    axis = first_alone(operands, axes)
    if axis in normalized_axes(operands.attribute("axes"), len(operands.shape(0))):
        raise MixedRowsError(f"it normalises along axis {axis}, the batch")
    return axis


def softmax(operands: Operands, axes: Sequence[Axis]) -> int:
    """Softmax, LogSoftmax: not along the rows."""
    axis = first_alone(operands, axes)
    if normalized_axis(operands.attribute("axis"), len(operands.shape(0))) == axis:
        raise MixedRowsError(f"it works along axis {axis}, the batch")
    return axis


def reduce_(operands: Operands, axes: Sequence[Axis]) -> int:
    """ReduceMean and the like: not over the rows."""
    axis, rank = first_alone(operands, axes), len(operands.shape(0))
    given = operands.integer_input(1, "axes")
    if not given and operands.attribute("noop_with_empty_axes"):
        return axis
    return _reduced(operands, axis, normalized_axes(given or range(rank), rank))


def arg(operands: Operands, axes: Sequence[Axis]) -> int:
    """ArgMax and ArgMin: not along the rows."""
    axis = first_alone(operands, axes)
    along = normalized_axis(operands.attribute("axis"), len(operands.shape(0)))
    return _reduced(operands, axis, [along])


def _reduced(operands: Operands, axis: int, reduced: Sequence[int]) -> int:
    if axis in reduced:
        raise MixedRowsError(f"it reduces axis {axis}, the batch")
    return axis if operands.attribute("keepdims") else _without(reduced, axis)


def _without(dropped: Sequence[int], axis: int) -> int:
    """The place of an axis once the axes `dropped`, others, are gone."""
    return axis - sum(other < axis for other in dropped)


def broadcasting(operands: Operands, axes: Sequence[Axis]) -> int:
    """Element by element after broadcasting, which lines dimensions up from the last one."""
    rank = max(len(shape) for shape in operands.given_shapes())
    return _aligned([(operands.shape(i), axis) for i, axis in enumerate(axes)], rank)


def _aligned(tensors: Sequence[tuple[Sequence[int | None], Axis]], rank: int) -> int:
    """The one axis, of `rank` of them, at which tensors that broadcast together have their rows."""
    places = {rank - len(shape) + axis for shape, axis in tensors if axis is not None}
    if len(places) > 1:
        listed = " and ".join(map(str, sorted(places)))
        raise MixedRowsError(f"it combines tensors with the batch along axes {listed}")
    (place,) = places
    for shape, axis in tensors:
        own = place - (rank - len(shape))
        if axis is None and own >= 0 and shape[own] != 1:
            raise MixedRowsError(
                f"a constant of shape {tuple(shape)} has {shape[own]} rows, one for each image"
            )
    return place


def gemm(operands: Operands, axes: Sequence[Axis]) -> int:
    """Gemm: the rows of one factor stay rows, or columns, of the product."""
    left, right = (
        None if axis is None else _outer(axis, int(inner))
        for axis, inner in zip(
            axes,
            (not operands.attribute("transA"), bool(operands.attribute("transB"))),
            strict=False,
        )
    )
    if left is not None and right is not None:
        raise MixedRowsError("it multiplies every image with every other")
    if left is None and right is None:
        raise MixedRowsError("it adds images to a constant product, which has rows of its own")
    terms: list[tuple[Sequence[int | None], Axis]] = [((None, None), 0 if right is None else 1)]
    if operands.present(2):
        terms.append((operands.shape(2), axes[2]))
    return _aligned(terms, 2)


def _outer(axis: int, inner: int) -> int:
    """The axis of a factor's rows, which must not be `inner`, the one that is summed over."""
    if axis == inner:
        raise MixedRowsError(f"it sums over axis {axis}, the batch")
    return axis


def mat_mul(operands: Operands, axes: Sequence[Axis]) -> int:
    """numpy.matmul: a vector is a matrix of one row or column, leading dimensions broadcast."""
    shapes = [operands.shape(0), operands.shape(1)]
    num_leading = max(0, *(len(shape) - 2 for shape in shapes))
    terms: list[tuple[Sequence[int | None], Axis]] = []
    places: set[int] = set()
    for index, (shape, axis) in enumerate(zip(shapes, axes, strict=True)):
        leading = shape[:-2]
        if axis is None or axis < len(leading):
            terms.append((leading, axis))
        else:
            inner = len(shape) - 1 if index == 0 or len(shape) == 1 else len(shape) - 2
            _outer(axis, inner)
            places.add(num_leading + index)  # the first factor's rows, the second one's columns
    if any(axis is not None for _, axis in terms):
        places.add(_aligned(terms, num_leading))
    if len(places) > 1:
        raise MixedRowsError("it multiplies every image with every other")
    (place,) = places
    vector = len(shapes[0]) == 1
    return place - 1 if vector and place > num_leading else place


def transpose(operands: Operands, axes: Sequence[Axis]) -> int:
    """Transpose: where the rows are moved to."""
    return movement.permutation(operands).index(first_alone(operands, axes))


def flatten(operands: Operands, axes: Sequence[Axis]) -> int:
    """Flatten: the rows alone on one side."""
    rows, shape = first_alone(operands, axes), operands.shape(0)
    axis = operands.attribute("axis")
    split = axis + len(shape) if axis < 0 else axis
    place = int(rows >= split)
    if any(d not in (None, 1) for d in (shape[:split], shape[split:])[place]):
        raise MixedRowsError("it merges the batch with other dimensions")
    return place


def reshape(operands: Operands, axes: Sequence[Axis]) -> int:
    """Reshape: as `reshaped_axis`, of a shape in which -1 or 0 stands for the batch."""
    axis, source = first_alone(operands, axes), operands.shape(0)
    (target,) = movement.reshape(operands)
    place = target.index(None)
    if _num_elements(target[:place]) != _num_elements(source[:axis]):
        raise MixedRowsError(
            f"it moves elements from image to image: {_named(source)} becomes {_named(target)}"
        )
    return place


def _num_elements(dimensions: Sequence[int | None]) -> int:
    return math.prod(size or 0 for size in dimensions)


def _named(shape: Sequence[int | None]) -> str:
    return f"({', '.join('batch' if size is None else str(size) for size in shape)})"


def squeeze(operands: Operands, axes: Sequence[Axis]) -> int:
    """Squeeze: dimensions before the rows may go."""
    axis, shape = first_alone(operands, axes), operands.shape(0)
    given = operands.integer_input(1, "axes")
    if given is None:
        return _without([i for i, size in enumerate(shape) if size == 1], axis)
    dropped = normalized_axes(given, len(shape))
    if axis in dropped:
        raise MixedRowsError(f"it drops axis {axis}, the batch")
    return _without(dropped, axis)


def unsqueeze(operands: Operands, axes: Sequence[Axis]) -> int:
    """Unsqueeze: dimensions may come before the rows."""
    axis, given = first_alone(operands, axes), operands.integer_input(1, "axes") or []
    rank = len(operands.shape(0)) + len(given)
    added = normalized_axes(given, rank)
    return [place for place in range(rank) if place not in added][axis]


def concat(operands: Operands, axes: Sequence[Axis]) -> int:
    """Concat: not along the rows."""
    shapes = operands.given_shapes()
    joined = normalized_axis(operands.attribute("axis"), len(shapes[0]))
    places = {axis for axis in axes if axis is not None}
    if joined in places:
        raise MixedRowsError(f"it joins along axis {joined}, the batch")
    if len(places) > 1:
        raise MixedRowsError("it joins tensors with the batch along different axes")
    (place,) = places
    for shape, axis in zip(shapes, axes, strict=True):
        if axis is None:
            raise MixedRowsError(f"a constant of {shape[place]} rows beside those of the images")
    return place


def slice_(operands: Operands, axes: Sequence[Axis]) -> int:
    """Slice: the rows are taken whole."""
    axis = first_alone(operands, axes)
    try:
        movement.slice_bounds(operands)
    except InvalidModelError:  # of an axis whose length nobody knows it finds no bounds
        raise MixedRowsError(f"it cuts axis {axis}, the batch") from None
    return axis


def pad(operands: Operands, axes: Sequence[Axis]) -> int:
    """Pad: nothing before or after the rows."""
    axis, rank = first_alone(operands, axes), len(operands.shape(0))
    pads = operands.integer_input(1, "pads") or []
    given = operands.integer_input(3, "axes")
    padded = normalized_axes(range(rank) if given is None else given, rank)
    if axis in padded:
        index = padded.index(axis)
        if pads[index] or pads[index + len(padded)]:
            raise MixedRowsError(f"it pads or crops axis {axis}, the batch")
    return axis


def expand(operands: Operands, axes: Sequence[Axis]) -> int:
    """Expand: the rows may be moved back by dimensions before them."""
    axis, shape = first_alone(operands, axes), operands.shape(0)
    target = operands.integer_input(1, "the shape") or []
    place = max(len(target) - len(shape), 0) + axis
    entry = place - max(len(shape) - len(target), 0)
    if entry >= 0 and target[entry] != 1:
        raise MixedRowsError(f"it repeats axis {axis}, the batch")
    return place


def tile(operands: Operands, axes: Sequence[Axis]) -> int:
    """Tile: the rows once."""
    axis = first_alone(operands, axes)
    repeats = operands.integer_input(1, "the repeats") or []
    if axis < len(repeats) and repeats[axis] != 1:
        raise MixedRowsError(f"it repeats axis {axis}, the batch")
    return axis


def gather(operands: Operands, axes: Sequence[Axis]) -> int:
    """Gather: not among the rows, which move where the indices are no single list."""
    axis = first_alone(operands, axes)
    picked = normalized_axis(operands.attribute("axis"), len(operands.shape(0)))
    if picked == axis:
        raise MixedRowsError(f"it picks from axis {axis}, the batch")
    return axis if axis < picked else axis - 1 + len(operands.shape(1))


def resize(operands: Operands, axes: Sequence[Axis]) -> int:
    """Resize: not along the rows."""
    axis, rank = first_alone(operands, axes), len(operands.shape(0))
    named = operands.node.attributes.get("axes")
    if axis in normalized_axes(range(rank) if named is None else named, rank):
        raise MixedRowsError(f"it resizes axis {axis}, the batch")
    return axis
