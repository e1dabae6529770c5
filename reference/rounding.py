"""The type that operators calculate in, and the one rounding of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt

_calculation_type: ContextVar[type[np.floating]] = ContextVar("calculation", default=np.float64)
_narrow_factors: ContextVar[bool] = ContextVar("narrow factors", default=False)


def calculation_type() -> type[np.floating]:
    """What sums and functions are calculated in: float64, but inside `calculating_in`."""
    return _calculation_type.get()


@contextmanager
def calculating_in(dtype: type[np.floating], bfloat16_factors: bool = False) -> Iterator[None]:
    """Operators called inside calculate in `dtype`: in float32 they are a plain backend.

    With `bfloat16_factors` what convolutions and products of matrices multiply is rounded first.
    """
    tokens = _calculation_type.set(dtype), _narrow_factors.set(bfloat16_factors)
    try:
        yield
    finally:
        _calculation_type.reset(tokens[0])
        _narrow_factors.reset(tokens[1])


def wide(values: np.ndarray) -> np.ndarray:
    """A copy of `values` in the type to calculate in."""
    return values.astype(calculation_type())


def factors(values: np.ndarray) -> np.ndarray:
    """As `wide`, of what is multiplied in sums of products: rounded to bfloat16 if that is asked.

    To the nearest, to the even one of two; NaN stays NaN.
    """
    if not _narrow_factors.get():
        return wide(values)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return wide(np.where(np.isnan(values), values, nearest.view(np.float32)))


def rounded(values: npt.ArrayLike) -> np.ndarray:
    """`values`, as they were calculated, rounded to the nearest float32."""
    return np.asarray(values, dtype=np.float32)
