"""The order that Velox gives floating-point numbers: NaN is the largest, one NaN, one zero.

Arrow compares as IEEE 754 does, where NaN is neither equal to nor greater than anything, and its
hash tables tell the bit patterns of NaN and of the two zeros apart.

Source: Velox `velox/type/FloatingPointUtil.h`, Presto's comparison of REAL and DOUBLE.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import compute as pc

_INTEGERS = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}


def one_pattern(array: Any) -> Any:
    """Every NaN with the same bits, -0.0 as 0.0: for keys. Columns of other types as they are."""
    if not pa.types.is_floating(array.type):
        return array
    same = pc.if_else(pc.is_nan(array), pa.scalar(np.nan, array.type), array)
    return pc.add(same, pa.scalar(0.0, array.type))  # -0.0 + 0.0 is 0.0


def to_ordered(array: Any) -> Any:
    """Integers in the order of the numbers, and NaN above all; 0.0 above -0.0.

    What is not floating comes back as it is; so do nulls.
    """
    if not pa.types.is_floating(array.type):
        return array
    kind = _INTEGERS[array.type]
    same = pc.if_else(pc.is_nan(array), pa.scalar(np.nan, array.type), array)
    return _mirrored(same.view(kind))


def from_ordered(integers: Any, data_type: Any) -> Any:
    """The numbers of `to_ordered`, of the type that they were."""
    if not pa.types.is_floating(data_type):
        return integers
    return _mirrored(integers).view(data_type)


def _mirrored(bits: Any) -> Any:
    """Negative numbers have their sign and a magnitude, negative integers grow upwards."""
    magnitude = pa.scalar(2 ** (bits.type.bit_width - 1) - 1, bits.type)
    return pc.if_else(
        pc.less(bits, pa.scalar(0, bits.type)), pc.bit_wise_xor(bits, magnitude), bits
    )


def equal(left: Any, right: Any) -> Any:
    """left = right, where NaN equals NaN."""
    same = pc.equal(left, right)
    if not (_may_be_nan(left) and _may_be_nan(right)):
        return same
    return pc.or_(same, pc.and_(pc.is_nan(left), pc.is_nan(right)))


def less(left: Any, right: Any) -> Any:
    """left < right, where NaN is above every number."""
    below = pc.less(left, right)
    if not _may_be_nan(right):
        return below
    return pc.or_(below, pc.and_(pc.invert(pc.is_nan(left)), pc.is_nan(right)))


def less_equal(left: Any, right: Any) -> Any:
    """left <= right, likewise."""
    below = pc.less_equal(left, right)
    return pc.or_(below, pc.is_nan(right)) if _may_be_nan(right) else below


def _may_be_nan(values: Any) -> bool:
    """Columns of floats, not searched; constants that are."""
    if not pa.types.is_floating(values.type):
        return False
    return not isinstance(values, pa.Scalar) or values.as_py() != values.as_py()
