"""The only comparator of the tests: shape, then dtype, then values."""

from __future__ import annotations

import numpy as np


def assert_close(actual: np.ndarray, expected: np.ndarray, *, rtol: float, atol: float) -> None:
    """Fails unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Shapes and dtypes must be equal. A NaN matches a NaN and an infinity the same infinity only.
    The message names the worst place and the largest errors.
    """
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    assert actual.dtype == expected.dtype, f"dtype {actual.dtype}, expected {expected.dtype}"
    if not expected.size:
        return
    with np.errstate(invalid="ignore", over="ignore"):
        wide, truth = actual.astype(np.float64), expected.astype(np.float64)
        error = np.abs(wide - truth)
        same = (wide == truth) | (np.isnan(wide) & np.isnan(truth))
        within = same | (np.isfinite(truth) & (error <= atol + rtol * np.abs(truth)))
    if within.all():
        return
    error = np.where(same, 0.0, np.where(np.isfinite(error), error, np.inf))
    excess = np.where(within, -1.0, error)
    worst = tuple(int(i) for i in np.unravel_index(excess.argmax(), excess.shape))
    comparable = np.isfinite(truth) & (truth != 0)
    relative = error[comparable] / np.abs(truth[comparable])
    raise AssertionError(
        f"{np.count_nonzero(~within)} of {within.size} values differ; worst at {worst}: "
        f"{actual[worst]!r}, expected {expected[worst]!r}; max abs {error.max():.3g}, "
        f"max rel {relative.max(initial=0.0):.3g} (rtol {rtol:g}, atol {atol:g})"
    )
