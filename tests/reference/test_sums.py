"""Sums in float64 are NumPy's; in float32 they are those of a loop over the terms."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close

from reference.conv import SMALL_PRODUCT, conv
from reference.operators import OPERATORS
from reference.rounding import calculating_in
from reference.sums import product, total

reduce_mean = OPERATORS["ReduceMean"]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(21).standard_normal(shape).astype(np.float32)


def test_products() -> None:
    a, b = normal(2, 5, 70), normal(70, 6)
    wide = product(a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_array_equal(wide, np.matmul(a.astype(np.float64), b.astype(np.float64)))
    expected = np.zeros((2, 5, 6), np.float32)
    for k in range(70):
        expected += a[:, :, k, None] * b[k]
    with calculating_in(np.float32):
        np.testing.assert_array_equal(product(a, b), expected)


@pytest.mark.parametrize("axes", [(1,), (2, 3), (-1, 1), (0, 1, 2, 3)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_totals(axes: tuple[int, ...], keepdims: bool) -> None:
    values = normal(3, 4, 20, 20)
    wide = values.astype(np.float64)
    expected = wide.sum(axis=axes, keepdims=keepdims)
    np.testing.assert_array_equal(total(wide, axes, keepdims), expected)
    with calculating_in(np.float32):
        single = total(values, axes, keepdims)
    assert_close(single, expected.astype(np.float32), rtol=1e-3, atol=1e-4)
    if axes == (2, 3):
        one = np.float32(0)
        for value in values[1, 2].ravel():
            one += value
        assert single[1, 2].item() == one


def test_a_mean_of_many_is_as_far_off_as_a_loop() -> None:
    ones = np.full((1, 1, 300, 300), 0.1, np.float32)
    with calculating_in(np.float32):
        single = reduce_mean(ones, keepdims=1, noop_with_empty_axes=0)
    assert abs(single.item() - 0.1) > 1e-5
    assert abs(reduce_mean(ones, keepdims=1, noop_with_empty_axes=0).item() - 0.1) < 1e-7


@pytest.mark.parametrize("filters", [2, SMALL_PRODUCT // (9 * 4 * 64) + 1])
def test_convolutions_of_either_size_are_near_and_not_equal(filters: int) -> None:
    x, w = normal(2, 4, 10, 10), normal(filters, 4, 3, 3)
    exact = conv(x, w, group=1)
    with calculating_in(np.float32):
        single = conv(x, w, group=1)
    assert (single != exact).any()
    assert_close(single, exact, rtol=1e-4, atol=1e-4)
