"""Shapes of operators that normalise by statistics of the tensor itself: all keep the shape."""

from __future__ import annotations

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Shape
from columnar_nn.model.shape_rules.elementwise import broadcast_shape
from columnar_nn.model.shape_rules.operands import (
    Operands,
    fixed,
    normalized_axes,
    normalized_axis,
)


def layer(operands: Operands) -> tuple[Shape, ...]:
    """LayerNormalization: over all dimensions from `axis` on, to which scale and bias broadcast."""
    shape = operands.shape(0)
    axis = normalized_axis(operands.attribute("axis"), len(shape))
    normalized = tuple(fixed(size, "a normalised dimension") for size in shape[axis:])
    for index, what in ((1, "scale"), (2, "bias")):
        if operands.present(index):
            given = operands.shape(index)
            if broadcast_shape([normalized, given]) != normalized:
                raise InvalidModelError(f"{what} {given} does not broadcast to {normalized}")
    return (shape,)


def instance(operands: Operands) -> tuple[Shape, ...]:
    """InstanceNormalization: X [N, C, spatial...] with scale and bias [C]."""
    return _of_channels(operands, 1)


def group(operands: Operands) -> tuple[Shape, ...]:
    """GroupNormalization: as InstanceNormalization; `num_groups` groups of C channels."""
    return _of_channels(operands, operands.attribute("num_groups"))


def _of_channels(operands: Operands, num_groups: int) -> tuple[Shape, ...]:
    shape = operands.shape(0)
    if len(shape) < 3:
        raise InvalidModelError(f"input of shape {shape} is not [N, C, spatial...]")
    channels = fixed(shape[1], "channels")
    if num_groups < 1 or channels % num_groups:
        raise InvalidModelError(f"{channels} channels do not fall into {num_groups} groups")
    for index, what in ((1, "scale"), (2, "bias")):
        if operands.shape(index) != (channels,):
            raise InvalidModelError(
                f"{what} {operands.shape(index)} must have one value for each of {channels} "
                "channels"
            )
    return (shape,)


def mean_variance(operands: Operands) -> tuple[Shape, ...]:
    """MeanVarianceNormalization: over the named axes."""
    shape = operands.shape(0)
    for axis in normalized_axes(operands.attribute("axes"), len(shape)):
        fixed(shape[axis], f"axis {axis}")
    return (shape,)
