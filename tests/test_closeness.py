"""The comparator fails where it should."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close

ONE = np.array([1.0, 2.0], np.float32)


def changed(index: int, value: float) -> np.ndarray:
    result = ONE.copy()
    result[index] = value
    return result


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        (ONE[:1], r"shape \(1,\)"),
        (ONE.astype(np.float64), "dtype float64"),
        (changed(1, 2.1), r"1 of 2 values differ; worst at \(1,\).*max abs 0\.1"),
        (changed(0, np.nan), r"worst at \(0,\)"),
        (changed(0, np.inf), r"worst at \(0,\)"),
    ],
)
def test_differences_are_named(actual: np.ndarray, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_close(actual, ONE, rtol=0.01, atol=0)


def test_a_number_is_no_nan_and_no_infinity() -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(AssertionError, match="1 of 2"):
            assert_close(ONE, changed(0, value), rtol=1e9, atol=1e9)
        assert_close(changed(0, value), changed(0, value), rtol=0, atol=0)


def test_within_tolerance() -> None:
    assert_close(changed(1, 2.01), ONE, rtol=0.01, atol=0)
    assert_close(changed(1, 2.01), ONE, rtol=0, atol=0.02)
    assert_close(np.zeros((0, 3)), np.zeros((0, 3)), rtol=0, atol=0)
