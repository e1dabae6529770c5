"""Statistics over batches agree with NumPy's over everything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.golden.checks import Statistic, parse
from bench.verdict.parity import Tolerance
from columnar_nn.errors import UsageError

QUANTILE_WIDTH = 2.0**-7


def smallest_passing_atol(check: str, output: np.ndarray, expected: np.ndarray) -> float:
    """By bisection on atol alone: the error's statistic as the check sees it."""
    statistic = Statistic(parse(check))
    for half in np.array_split(np.arange(len(output)), 2):
        statistic.add(output[half], expected[half])
    low, high = 0.0, float(np.abs(output.astype(np.float64) - expected).max()) + 1
    for _ in range(60):
        middle = (low + high) / 2
        passes = not statistic.verdict(Tolerance(atol=middle, rtol=0.0))
        low, high = (low, middle) if passes else (middle, high)
    return high


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(2, 400))
def test_statistics_match_numpy(seed: int, quantile: float, count: int) -> None:
    random = np.random.default_rng(seed)
    expected = random.standard_normal(count).astype(np.float32)
    scale = 10.0 ** random.uniform(-6, 2)
    output = (expected + scale * random.standard_normal(count)).astype(np.float32)
    error = np.abs(output.astype(np.float64) - expected)

    assert smallest_passing_atol("max", output, expected) == pytest.approx(error.max(), rel=1e-9)
    assert smallest_passing_atol("mean", output, expected) == pytest.approx(error.mean(), rel=1e-9)
    exact = np.quantile(error, quantile, method="inverted_cdf")
    found = smallest_passing_atol(f"quantile:{quantile}", output, expected)
    assert exact * (1 - 1e-6) <= found <= exact * (1 + 2 * QUANTILE_WIDTH) + 1e-15


def test_relative_tolerance_uses_the_expected_magnitudes() -> None:
    expected = np.linspace(1, 3, 1001, dtype=np.float32)
    output = expected + np.float32(0.5)
    for check, size in (("mean", 2.0), ("median", 2.0), ("max", 3.0)):
        statistic = Statistic(parse(check))
        statistic.add(output, expected)
        slack = 0.01
        assert statistic.verdict(Tolerance(0.0, 0.5 / size * (1 + slack))) == ""
        assert check in statistic.verdict(Tolerance(0.0, 0.5 / size * (1 - slack)))


@pytest.mark.parametrize("text", ["", "average", "quantile", "quantile:", "quantile:2", "max:1"])
def test_unknown_checks_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="elementwise, max, mean, median, quantile:q"):
        parse(text)
