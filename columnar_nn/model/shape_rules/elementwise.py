"""Shapes of operators that work element by element or along one axis and keep the shape."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Shape
from columnar_nn.model.shape_rules.operands import Operands, normalized_axis


def broadcast_shape(shapes: Sequence[Shape]) -> Shape:
    """NumPy's broadcasting; the symbolic batch pairs only with itself and with 1."""
    rank = max(len(shape) for shape in shapes)
    aligned = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result: list[int | None] = []
    for dimensions in zip(*aligned, strict=True):
        others = set(dimensions) - {1}
        if len(others) > 1:
            raise InvalidModelError(
                f"shapes {' and '.join(map(str, shapes))} do not broadcast together"
            )
        result.append(others.pop() if others else 1)
    return tuple(result)


def unary(operands: Operands) -> tuple[Shape, ...]:
    """One output with the shape of the first input."""
    return (operands.shape(0),)


def broadcasting(operands: Operands) -> tuple[Shape, ...]:
    """Add, Where and the like: the broadcast shape of all inputs, the batch where it was."""
    shapes = [operands.shape(index) for index in range(max(2, len(operands.shapes)))]
    result = broadcast_shape(shapes)
    if None in result and not any(
        None in s and s.index(None) == result.index(None) for s in shapes
    ):
        raise InvalidModelError(
            f"{' and '.join(map(str, shapes))} give {result}: the batch would move to another "
            "dimension"
        )
    return (result,)


def prelu(operands: Operands) -> tuple[Shape, ...]:
    """PRelu: the slope broadcasts to the input, never the other way round."""
    shape, slope = operands.shape(0), operands.shape(1)
    if broadcast_shape([shape, slope]) != shape:
        raise InvalidModelError(f"slope {slope} does not broadcast to the input {shape}")
    return (shape,)


def clip(operands: Operands) -> tuple[Shape, ...]:
    """Clip: the bounds are scalars."""
    for index, what in ((1, "min"), (2, "max")):
        if operands.present(index) and operands.shape(index) not in ((), (1,)):
            raise InvalidModelError(f"{what} of shape {operands.shape(index)} is not a scalar")
    return (operands.shape(0),)


def batch_normalization(operands: Operands) -> tuple[Shape, ...]:
    """BatchNormalization: X [N, C, ...] with scale, bias, mean and variance [C]."""
    shape = operands.shape(0)
    if len(shape) < 2:
        raise InvalidModelError(f"input of shape {shape} has no channel dimension")
    for index, what in enumerate(("scale", "bias", "mean", "variance"), start=1):
        if operands.shape(index) != (shape[1],):
            raise InvalidModelError(
                f"{what} {operands.shape(index)} must have one value for each of "
                f"{shape[1]} channels"
            )
    return (shape,)


def along_axis(operands: Operands) -> tuple[Shape, ...]:
    """Softmax and LogSoftmax: the shape of the input, whose `axis` must exist."""
    shape = operands.shape(0)
    normalized_axis(operands.attribute("axis"), len(shape))
    return (shape,)


def lrn(operands: Operands) -> tuple[Shape, ...]:
    """LRN: X [N, C, ...] with a window of `size` channels."""
    shape = operands.shape(0)
    if len(shape) < 2 or not 1 <= operands.attribute("size") < 2**31:
        raise InvalidModelError(f"needs channels and a size from 1 to 2^31, found input {shape}")
    return (shape,)
