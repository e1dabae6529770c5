"""Constants that differ along the last axes of a row only, as biases of matrices do."""

from __future__ import annotations

import numpy as np

from columnar_nn.expressions.types import RowShape


def along_end(constant: np.ndarray, row: RowShape, axis: int) -> np.ndarray | None:
    """What a constant is from `axis` of a row on, if that is the same all over the axes before.

    It is [1], [C] for the first axis, or of the shape of the row, as those of vector functions
    are; the result is of the shape row[axis:].
    """
    if constant.size == 1:
        return np.full(row[axis:], constant.item(), constant.dtype)
    if constant.ndim == 1:
        constant = constant.reshape(-1, *[1] * (len(row) - 1))
    whole = np.broadcast_to(constant, row)
    first: np.ndarray = whole[(0,) * axis]
    return (
        np.ascontiguousarray(first) if np.array_equal(np.broadcast_to(first, row), whole) else None
    )
