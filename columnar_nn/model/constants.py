"""Values that a network's own nodes compute from nothing but constants, worked out at import.

Exporters write `x.view(x.size(0), -1)` as Shape, Gather, Concat and Reshape, and padding as
twenty nodes. Such nodes handle a few integers that are known as soon as shapes are, but for
the size of the batch; that one is carried along as the object BATCH, which may be moved about
but not calculated with. Weights that are reshaped, transposed or added are worked out likewise.

Values are object arrays of integers and BATCH, or float32 arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

from columnar_nn.model.graph import Node, Shape


def _refusing(what: str) -> Callable[..., Any]:
    """A method of _Batch that would need its value."""

    def refuse(self: _Batch, *operands: object) -> Any:
        raise TypeError(f"the batch size is {what}{''.join(f' {other}' for other in operands)}")

    return refuse


class _Batch:
    """The size of the batch, unknown until run time; to calculate with it raises TypeError."""

    def __repr__(self) -> str:
        return "batch"

    __add__ = __radd__ = _refusing("added to")
    __mul__ = __rmul__ = _refusing("multiplied by")
    __sub__, __rsub__ = _refusing("reduced by"), _refusing("subtracted from")
    __floordiv__ = __truediv__ = __mod__ = _refusing("divided by")
    __rfloordiv__ = __rtruediv__ = __rmod__ = _refusing("made the divisor of")
    __neg__ = _refusing("negated")
    __int__ = __index__ = __float__ = _refusing("used as a number")


BATCH = _Batch()

_ABSENT = np.zeros(0, object)
"""Stands for an optional input that is not given: a list without entries."""


def holds_batch(value: np.ndarray) -> bool:
    """Whether some entry of a value is the size of the batch."""
    return any(entry is BATCH for entry in value.reshape(-1)) if value.dtype == object else False


def shape_value(node: Node, shape: Shape) -> np.ndarray:
    """Value of a Shape node."""
    start, end = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
    return np.array([BATCH if d is None else d for d in shape[start:end]], dtype=object)


def evaluate(node: Node, values: Sequence[np.ndarray | None]) -> np.ndarray:
    """Value of a node whose inputs are known; that of an absent input is None.

    Raises KeyError for an operator that is not in EVALUATED, TypeError for arithmetic on the
    batch, and ValueError or IndexError for values that do not fit together.
    """
    given = [_ABSENT if value is None else value for value in values]
    return np.asarray(EVALUATED[node.op_type](node, given))


def reshape_target(target: np.ndarray, shape: Shape) -> np.ndarray:
    """The int64 constant by which Reshape does what `target`, which holds BATCH, says.

    The batch is copied (0) from where it is in `shape`, or is what is left (-1). Raises
    ValueError if neither can be.
    """
    entries = list(target.reshape(-1))
    for index, entry in enumerate(entries):
        if entry is BATCH:
            copied = index < len(shape) and shape[index] is None
            if not copied and -1 in entries:
                raise ValueError(f"the batch size is used twice in the shape {entries}")
            entries[index] = 0 if copied else -1
    return np.array(entries, np.int64)


def _parameter(node: Node, values: Sequence[np.ndarray], index: int, name: str) -> list[int]:
    """A list of integers given as an attribute (older opsets) or as the input at `index`."""
    if name in node.attributes:
        return list(node.attributes[name])
    return [int(v) for v in values[index].reshape(-1)] if index < len(values) else []


def _divide(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    divide = np.floor_divide if values[0].dtype == object else np.true_divide
    return np.asarray(divide(*values))


def _gather(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    data, indices = values
    return np.asarray(data.take(indices.astype(np.int64), axis=node.attributes.get("axis", 0)))


def _concat(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(values, axis=node.attributes["axis"])


def _squeeze(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    axes = _parameter(node, values, 1, "axes")
    return np.squeeze(values[0], tuple(axes) if axes else None)


def _unsqueeze(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    return np.expand_dims(values[0], tuple(_parameter(node, values, 1, "axes")))


def _reshape(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    data, target = values[0], _parameter(node, values, 1, "shape")
    copies = not node.attributes.get("allowzero", 0)
    shape = [data.shape[i] if d == 0 and copies else d for i, d in enumerate(target)]
    return data.reshape(shape)


def _transpose(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    return values[0].transpose(node.attributes.get("perm"))


def _slice(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    data = values[0]
    starts, ends = _parameter(node, values, 1, "starts"), _parameter(node, values, 2, "ends")
    axes = _parameter(node, values, 3, "axes") or range(len(starts))
    steps = _parameter(node, values, 4, "steps") or [1] * len(starts)
    index = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # Going backward, an end before the first element is what Python writes as None.
        to_the_first = step < 0 and end < -data.shape[axis]
        index[axis] = slice(start, None if to_the_first else end, step)
    return data[tuple(index)]


def _cast(node: Node, values: Sequence[np.ndarray]) -> np.ndarray:
    to = node.attributes["to"]
    if to == onnx.TensorProto.FLOAT:
        return values[0].astype(np.float32)
    if values[0].dtype != object or to not in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
        raise ValueError("constants are cast to float32 and between integers only")
    return values[0]


EVALUATED: dict[str, Callable[[Node, Sequence[np.ndarray]], np.ndarray]] = {
    "Add": lambda node, values: values[0] + values[1],
    "Sub": lambda node, values: values[0] - values[1],
    "Mul": lambda node, values: values[0] * values[1],
    "Div": _divide,
    "Cast": _cast,
    "Concat": _concat,
    "Gather": _gather,
    "Identity": lambda node, values: values[0],
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""Operators that are evaluated at import when all of their inputs are known."""

ONLY_EVALUATED = frozenset({"Shape", "Gather", "Cast"})
"""Operators of which nothing may remain after the import."""
