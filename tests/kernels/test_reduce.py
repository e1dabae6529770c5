"""kernels/reduce.py and softmax over several rows against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from generated import SEEDS, quick
from hypothesis import given
from hypothesis import strategies as st
from kernels.images import normal, run

from columnar_nn.kernels import Layout, local_response_normalization, reduction
from columnar_nn.kernels.softmax import hardmax, log_softmax, place_of, softmax
from reference import lrn as lrn_reference
from reference import reductions as reference
from reference import softmax as softmax_reference
from reference.operators import OPERATORS

ROWS = st.lists(st.integers(1, 5), max_size=2)


@quick
@given(ROWS, st.integers(1, 40), SEEDS)
def test_softmax_and_extremes_of_every_row(rows: list[int], count: int, seed: int) -> None:
    layout = Layout("planar", (*rows, count))
    x = normal(seed, 2, *layout.shape)
    few = np.round(x)  # with equal ones
    assert_close(run(hardmax(layout), few), reference.hardmax(few, axis=-1), rtol=0, atol=0)
    for extreme, place in (("max", reference.arg_max), ("min", reference.arg_min)):
        for last in (False, True):
            expected = place(few, axis=-1, keepdims=0, select_last_index=int(last))
            actual = run(place_of(layout, extreme, last), few)
            np.testing.assert_array_equal(actual.reshape(expected.shape), expected)
    assert_close(
        run(softmax(layout), x), softmax_reference.softmax(x, axis=-1), rtol=5e-6, atol=1e-37
    )
    expected = softmax_reference.log_softmax(x, axis=-1)
    assert_close(run(log_softmax(layout), x), expected, rtol=2e-6, atol=2e-6)


RUNS = st.tuples(st.integers(1, 150), st.just(1))
LINES = st.tuples(st.integers(1, 40), st.sampled_from([2, 15, 16, 17, 40, 64, 150]))

OF_ROWS = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "prod": "ReduceProd",
    "l1": "ReduceL1",
    "l2": "ReduceL2",
    "sum_square": "ReduceSumSquare",
}


@pytest.mark.parametrize("operation", OF_ROWS)
@quick
@given(st.integers(1, 5), st.one_of(RUNS, LINES), SEEDS)
def test_reductions(operation: str, rows: int, sizes: tuple[int, int], seed: int) -> None:
    length, inner = sizes
    layout = Layout("planar", (rows, length, inner))
    x = normal(seed, 2, *layout.shape)
    x[1, 0, length - 1, 0] = np.nan
    reduce_ = OPERATORS[OF_ROWS[operation]]
    expected = reduce_(x, np.array([2]), keepdims=0, noop_with_empty_axes=0)
    assert_close(run(reduction(layout, operation), x), expected, rtol=2e-6, atol=4e-6)


@quick
@given(
    st.integers(1, 9),
    st.lists(st.integers(1, 7), max_size=2),
    st.integers(1, 8),
    st.sampled_from([0.5, 0.75, 1.0, 0.6]),
    SEEDS,
)
def test_local_response_normalization(
    channels: int, pixels: list[int], size: int, beta: float, seed: int
) -> None:
    layout = Layout("planar", (channels, *pixels))
    x = normal(seed, 2, *layout.shape) * 3
    expected = lrn_reference.lrn(x, size=size, alpha=0.3, beta=beta, bias=1.5)
    actual = run(local_response_normalization(layout, size, 0.3, beta, 1.5), x)
    assert_close(actual, expected, rtol=2e-6, atol=1e-7)
