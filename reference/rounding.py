"""The type that operators calculate in, and the one rounding of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt

_calculation_type: ContextVar[type[np.floating]] = ContextVar("calculation", default=np.float64)


def calculation_type() -> type[np.floating]:
    """What sums and functions are calculated in: float64, but inside `calculating_in`."""
    return _calculation_type.get()


@contextmanager
def calculating_in(dtype: type[np.floating]) -> Iterator[None]:
    """Operators called inside calculate in `dtype`: in float32 they are a plain backend."""
    token = _calculation_type.set(dtype)
    try:
        yield
    finally:
        _calculation_type.reset(token)


def wide(values: np.ndarray) -> np.ndarray:
    """A copy of `values` in the type to calculate in."""
    return values.astype(calculation_type())


def rounded(values: npt.ArrayLike) -> np.ndarray:
    """`values`, as they were calculated, rounded to the nearest float32."""
    return np.asarray(values, dtype=np.float32)
