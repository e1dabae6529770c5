"""Kernels take denormals for zero, or keep them; the threads that call them never change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from kernels.images import run

from columnar_nn.functions.arithmetic import OPERATIONS
from columnar_nn.kernels import Layout, Program, Step, binary, conv2d, scale_add

SMALL = np.array([1e-20, -3e-20, 1e-39, -1e-45, 1e-38, 2.0], np.float32)
LAYOUT = Layout("planar", (6,))


def product(keep_denormals: bool) -> np.ndarray:
    """Each number times 1e-20, and each times 1e20."""
    rows = []
    for factor in (1e-20, 1e20):
        kernel = scale_add(LAYOUT, np.full(1, factor, np.float32), None)
        program = Program((Step(kernel, (0,), 1),), (0,), (1,), keep_denormals)
        rows.append(np.full((1, 6), np.nan, np.float32))
        program.run([SMALL[np.newaxis]], [rows[-1]])
    return np.concatenate(rows)


def test_kept_they_are_numpys() -> None:
    factors = np.array([[1e-20], [1e20]], np.float32)
    np.testing.assert_array_equal(product(keep_denormals=True), SMALL * factors)


def test_flushed_they_are_zero_as_results_and_as_operands() -> None:
    expected = np.array([[0, 0, 0, 0, 0, 2e-20], [1, -3, 0, 0, 0, 2e20]], np.float32)
    np.testing.assert_allclose(product(keep_denormals=False), expected, rtol=1e-6)


@pytest.fixture(params=[False, True], ids=["kept", "flushed"])
def caller_flushes(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the caller's own thread flushes denormals."""
    if not torch.set_flush_denormal(request.param):
        pytest.skip("a processor whose threads do not flush denormals")
    yield request.param
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("keep_denormals", [False, True])
def test_the_callers_arithmetic_stays_as_it_was(keep_denormals: bool, caller_flushes: bool) -> None:
    def kept() -> bool:
        return bool(np.multiply(SMALL[:1], SMALL[:1])[0] != 0)

    assert kept() != caller_flushes
    results = product(keep_denormals)
    assert kept() != caller_flushes
    assert (results.view(np.int32)[0, 0] != 0) == keep_denormals  # in integers: nothing flushes


def test_convolutions_and_sums_of_two_tensors() -> None:
    image = np.full((1, 3, 4, 4), 1e-39, np.float32)
    weight = np.full((16, 3, 3, 3), 1e30, np.float32)
    assert not run(conv2d(Layout("planar", (3, 4, 4)), weight), image).any()
    halves = np.full((1, 6), 1e-38, np.float32)
    assert not run(binary(LAYOUT, LAYOUT, OPERATIONS["add"]), halves, halves).any()
