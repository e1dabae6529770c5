"""Every figure against its definition in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.verdict.parity import Accumulator, Parity, Tolerance

TOLERANCE = Tolerance(atol=1e-4, rtol=1e-3)


def compare(output: np.ndarray, reference: np.ndarray, batch: int = 1000) -> Parity:
    accumulator = Accumulator(TOLERANCE)
    for start in range(0, len(reference), batch):
        accumulator.add(output[start : start + batch], reference[start : start + batch])
    return accumulator.result()


def random_pair(noise: float, rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    reference = random.standard_normal((rows, 10)).astype(np.float32)
    error = noise * random.standard_normal(reference.shape)
    return (reference + error).astype(np.float32), reference


@pytest.mark.parametrize("noise", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("batch", [1, 7, 40])
def test_figures_are_their_definitions(noise: float, batch: int) -> None:
    output, reference = random_pair(noise)
    result = compare(output, reference, batch)
    error = output.astype(np.float64) - reference
    size = np.abs(reference.astype(np.float64))
    cosine = (output.astype(np.float64) * reference).sum() / (
        np.linalg.norm(output.astype(np.float64)) * np.linalg.norm(reference.astype(np.float64))
    )
    assert result.rows == 40
    assert result.elements == 400
    assert result.max_abs == np.abs(error).max()
    assert result.max_rel == np.abs(error).max() / size.max()
    assert result.sqnr_db == pytest.approx(10 * np.log10((size**2).sum() / (error**2).sum()))
    assert result.cosine == pytest.approx(cosine)
    assert result.top1_agreement == (output.argmax(1) == reference.argmax(1)).mean()
    close = np.isclose(
        output.astype(np.float64), reference.astype(np.float64), atol=1e-4, rtol=1e-3
    )
    assert result.outside == np.count_nonzero(~close)


def test_minimum_tolerance_passes_and_nothing_below_it_does() -> None:
    output, reference = random_pair(1e-2)
    least = compare(output, reference).min_tolerance
    for factor, outside in ((1 + 1e-9, False), (1 - 1e-9, True)):
        accumulator = Accumulator(Tolerance(least * factor, least * factor))
        accumulator.add(output, reference)
        assert (accumulator.result().outside > 0) == outside


@given(st.integers(1, 1000), st.booleans())
def test_ulp_counts_float32_neighbours(steps: int, across_zero: bool) -> None:
    reference = np.array([[1.0, 2.0, 4.0]], np.float32)
    output = reference.copy()
    if across_zero:
        # The smallest denormals, `steps` of them below zero and one above.
        reference[0, 1] = np.uint32(1).view(np.float32)
        output[0, 1] = -np.uint32(steps).view(np.float32)
        assert compare(output, reference).max_ulp == steps + 1
    else:
        output[0, 1] = (np.float32(2.0).view(np.uint32) + np.uint32(steps)).view(np.float32)
        assert compare(output, reference).max_ulp == steps


def test_identical_outputs() -> None:
    _, reference = random_pair(0)
    result = compare(reference, reference)
    assert (result.max_abs, result.max_ulp, result.outside) == (0, 0, 0)
    assert result.sqnr_db == math.inf


@pytest.mark.parametrize("row", [0, 39])
def test_one_element_outside_is_counted_wherever_it_is(row: int) -> None:
    output, reference = random_pair(0)
    output[row, 4] += 0.01
    assert compare(output, reference, batch=16).outside == 1


def test_swapped_classes_are_seen_in_top1() -> None:
    _, reference = random_pair(0)
    assert compare(reference[:, ::-1].copy(), reference).top1_agreement == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["output", "reference", "both"])
def test_values_that_are_not_finite_are_outside_unless_alike(value: float, where: str) -> None:
    output, reference = random_pair(0)
    if where != "reference":
        output[3, 3] = value
    if where != "output":
        reference[3, 3] = value
    result = compare(output, reference)
    assert result.outside == (0 if where == "both" else 1)
    assert math.isnan(result.max_abs) == (where != "both"), "errors over the rest look good"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (np.zeros((4, 9), np.float32), "shape (9,) of 4 rows, reference (10,) of 4"),
        (np.zeros((3, 10), np.float32), "shape (10,) of 3 rows, reference (10,) of 4"),
        (np.zeros((4, 10), np.float64), "dtype float64, reference float32"),
    ],
)
def test_other_shapes_and_types_have_no_figures(output: np.ndarray, reason: str) -> None:
    accumulator = Accumulator(TOLERANCE)
    accumulator.add(output, random_pair(0, 4)[1])
    result = accumulator.result()
    assert result.mismatch == reason
    assert math.isnan(result.max_abs)


def test_nothing_compared_is_no_result() -> None:
    with pytest.raises(ValueError, match="no rows"):
        Accumulator(TOLERANCE).result()
