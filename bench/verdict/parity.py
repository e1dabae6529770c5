"""How far a backend's output is from the reference, in figures (verdicts: bench/verdict/rule.py).

An Accumulator takes batches, so that outputs larger than memory can be compared. Figures:

max_abs         largest |output - reference|
max_rel         max_abs / largest |reference|: one scale for the whole tensor, since relative
                errors of single elements say nothing where the reference is near zero
max_ulp         largest distance in float32 units in the last place, element by element
sqnr_db         signal to quantisation noise, 10 log10(sum reference^2 / sum error^2)
cosine          cosine of the angle between both tensors as vectors
top1_agreement  share of rows whose largest element is at the same place
outside         elements with |output - reference| > atol + rtol |reference| (as numpy.isclose)
                and more than is always allowed, or NaN or infinite in another way than the
                reference; the others' figures are over the elements finite in both
min_tolerance   the smallest t that would pass as atol = rtol = t
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

TINY = float(np.finfo(np.float32).tiny)
"""1.2e-38, the least normal float32: a backend may take less for zero."""


@dataclass(frozen=True)
class Tolerance:
    """An element passes if |output - reference| <= atol + rtol |reference|, or if below TINY."""

    atol: float
    rtol: float


@dataclass(frozen=True)
class Parity:
    """Figures of one comparison; `mismatch` says why there are none: another shape or dtype.

    Figures are NaN where they are undefined; sqnr_db of identical tensors is infinite.
    """

    mismatch: str
    rows: int
    elements: int
    max_abs: float
    max_rel: float
    max_ulp: float
    sqnr_db: float
    cosine: float
    top1_agreement: float
    outside: int
    min_tolerance: float


class Accumulator:
    """Compares batches of rows, in order, against the reference's batches."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._rows = self._elements = self._agreeing = self._outside = self._unlike = 0
        self._max_abs = self._max_reference = self._max_ulp = self._min_tolerance = 0.0
        self._sum_error = self._sum_reference = self._sum_output = self._sum_product = 0.0
        self._mismatch = ""

    def add(
        self, output: np.ndarray, reference: np.ndarray, always: np.ndarray | float = 0.0
    ) -> None:
        """Takes rows [n, ...] of both; another shape or dtype than the reference's is a failure.

        `always`, broadcast to the rows, is an error that is allowed whatever the tolerance is.
        """
        if output.shape != reference.shape:
            self._mismatch = f"shape {output.shape[1:]} of {len(output)} rows, reference "
            self._mismatch += f"{reference.shape[1:]} of {len(reference)}"
            return
        if output.dtype != reference.dtype:
            self._mismatch = f"dtype {output.dtype}, reference {reference.dtype}"
            return
        if not output.size:
            return
        rows = len(output)
        got = output.reshape(rows, -1)
        expected = reference.reshape(rows, -1)
        self._rows += rows
        self._elements += got.size
        self._agreeing += int((got.argmax(axis=1) == expected.argmax(axis=1)).sum())
        finite = np.isfinite(got) & np.isfinite(expected)
        unlike = ~finite & (got != expected) & ~(np.isnan(got) & np.isnan(expected))
        self._unlike += int(np.count_nonzero(unlike))
        least = np.broadcast_to(always, output.shape).reshape(rows, -1)
        self._add_finite(got[finite], expected[finite], least[finite])

    def _add_finite(self, output: np.ndarray, reference: np.ndarray, always: np.ndarray) -> None:
        if not output.size:
            return
        got, expected = output.astype(np.float64), reference.astype(np.float64)
        error, size = np.abs(got - expected), np.abs(expected)
        self._max_abs = max(self._max_abs, float(error.max()))
        self._max_reference = max(self._max_reference, float(size.max()))
        self._max_ulp = max(self._max_ulp, _max_ulp(output, reference))
        self._min_tolerance = max(self._min_tolerance, float((error / (1 + size)).max()))
        allowed = np.maximum(self._tolerance.atol + self._tolerance.rtol * size, TINY)
        allowed = np.maximum(allowed, always)
        self._outside += int(np.count_nonzero(error > allowed))
        self._sum_error += float(error @ error)
        self._sum_reference += float(expected @ expected)
        self._sum_output += float(got @ got)
        self._sum_product += float(got @ expected)

    def result(self) -> Parity:
        """The comparison so far. Raises ValueError before any row was compared."""
        if not self._elements and not self._mismatch:
            raise ValueError("no rows were compared")
        norms = math.sqrt(self._sum_output * self._sum_reference)
        # Figures over the rest would make an output with a NaN of its own look good.
        known = self._unlike == 0 and not self._mismatch
        return Parity(
            mismatch=self._mismatch,
            rows=self._rows,
            elements=self._elements,
            max_abs=self._max_abs if known else math.nan,
            max_rel=_ratio(self._max_abs, self._max_reference) if known else math.nan,
            max_ulp=self._max_ulp if known else math.nan,
            sqnr_db=self._sqnr_db() if known else math.nan,
            cosine=self._sum_product / norms if known and norms else math.nan,
            top1_agreement=self._agreeing / self._rows if known else math.nan,
            outside=self._outside + self._unlike,
            min_tolerance=self._min_tolerance if known else math.nan,
        )

    def _sqnr_db(self) -> float:
        if not self._sum_error:
            return math.inf
        return 10 * math.log10(_ratio(self._sum_reference, self._sum_error) or math.nan)


def _ratio(value: float, base: float) -> float:
    if base:
        return value / base
    return 0.0 if value == 0 else math.inf


def _max_ulp(output: np.ndarray, reference: np.ndarray) -> float:
    """Largest number of float32 values between two elements, each rounded to float32."""
    distance = np.abs(_ordered(output) - _ordered(reference))
    return float(distance.max())


def _ordered(values: np.ndarray) -> np.ndarray:
    """Integers in the order of the floats, neighbours one apart, both zeros at 0."""
    bits = values.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits + 2**31), bits)
