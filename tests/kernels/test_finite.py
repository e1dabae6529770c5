"""kernels/finite.py against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from generated import normal

from columnar_nn.kernels import is_finite
from columnar_nn.kernels.layout import address

LARGEST = np.finfo(np.float32).max


def whether(values: np.ndarray) -> bool:
    return is_finite(address(values), values.size)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 63, 64, 65, 3072, 3079])
def test_every_item_is_looked_at_and_none_beyond(size: int) -> None:
    values = normal(size, size + 2)
    values[0] = values[-1] = np.nan  # the neighbours
    inner = values[1:-1]
    assert whether(inner)
    for index in range(0, size, 1 if size < 100 else 37):
        for value in (np.nan, np.inf, -np.inf):
            changed = inner.copy()
            changed[index] = value
            assert not whether(changed)


def test_large_and_small_floats_are_finite() -> None:
    assert whether(np.array([LARGEST, LARGEST, -LARGEST, 1e-45, -0.0] * 40, np.float32))
