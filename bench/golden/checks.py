"""By which measure a tensor passes: every element, or a statistic over all of them.

elementwise  |output - expected| <= atol + rtol |expected| for every element
max          the same rule for max |output - expected| and max |expected|
mean         ... for both means
median       ... for both medians
quantile:q   ... for both q-quantiles
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.verdict.parity import Tolerance
from columnar_nn.errors import UsageError

ELEMENTWISE = "elementwise"
_NAMES = (ELEMENTWISE, "max", "mean", "median", "quantile:q")
_KEPT_BITS = 16
"""A magnitude is counted by the upper bits of its float32: 2^16 bins, each 0.8% wide."""


@dataclass(frozen=True)
class Check:
    """A measure: "elementwise", "mean", or "quantile" with its `quantile` (1 is the maximum)."""

    name: str
    kind: str
    quantile: float


def parse(text: str) -> Check:
    """The check called `text`; raises UsageError listing all of them."""
    if text in (ELEMENTWISE, "mean"):
        return Check(text, text, 1.0)
    named = {"max": 1.0, "median": 0.5}
    if text in named:
        return Check(text, "quantile", named[text])
    kind, _, number = text.partition(":")
    try:
        quantile = float(number)
    except ValueError:
        quantile = -1.0
    if kind != "quantile" or not 0 <= quantile <= 1:
        raise UsageError(f"--check {text!r}: choose from {', '.join(_NAMES)} with q from 0 to 1")
    return Check(text, "quantile", quantile)


class Statistic:
    """A check's statistic of |output - expected| and of |expected|, over batches.

    Memory is constant: quantiles come from histograms, so that each is known to 0.8%; the
    error's is rounded up and the expected magnitude's down. Maxima and means are exact.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._error = _Magnitudes()
        self._expected = _Magnitudes()

    def add(self, output: np.ndarray, expected: np.ndarray) -> None:
        """Takes batches of equal shape; only elements that are finite in both count."""
        finite = np.isfinite(output) & np.isfinite(expected)
        wide = expected[finite].astype(np.float64)
        self._error.add(np.abs(output[finite].astype(np.float64) - wide))
        self._expected.add(np.abs(wide))

    def verdict(self, tolerance: Tolerance) -> str:
        """Empty if the statistic is within the tolerance, else what it is and may be."""
        if self._check.kind == "mean":
            error, size = self._error.mean(), self._expected.mean()
        else:
            error = self._error.quantile(self._check.quantile, round_up=True)
            size = self._expected.quantile(self._check.quantile, round_up=False)
        allowed = tolerance.atol + tolerance.rtol * size
        if error <= allowed:
            return ""
        return f"{self._check.name} error {error:.3g} is over the {allowed:.3g} allowed"


class _Magnitudes:
    """Mean and quantiles of numbers of zero or more, without keeping them."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0.0
        self._max = 0.0
        self._bins = np.zeros(1 << _KEPT_BITS, np.int64)

    def add(self, values: np.ndarray) -> None:
        self._count += values.size
        self._sum += float(values.sum())
        self._max = max(self._max, float(values.max(initial=0.0)))
        bins = values.astype(np.float32).view(np.uint32).ravel() >> (32 - _KEPT_BITS)
        self._bins += np.bincount(bins, minlength=self._bins.size)

    def mean(self) -> float:
        return self._sum / max(1, self._count)

    def quantile(self, quantile: float, round_up: bool) -> float:
        """The value of rank ceil(quantile * count), at least the first."""
        rank = max(1, int(np.ceil(quantile * self._count)))
        if rank >= self._count:
            return self._max
        chosen = int(np.searchsorted(np.cumsum(self._bins), rank)) + int(round_up)
        edge = np.array([chosen << (32 - _KEPT_BITS)], np.uint32).view(np.float32)[0]
        return min(float(edge), self._max)
