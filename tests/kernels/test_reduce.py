"""kernels/reduce.py and softmax over several rows against the reference."""

from __future__ import annotations

import numpy as np
from closeness import assert_close
from generated import SEEDS, quick
from hypothesis import given
from hypothesis import strategies as st
from kernels.images import normal, run

from columnar_nn.kernels import (
    Layout,
    local_response_normalization,
    log_softmax,
    mean,
    softmax,
)
from reference import lrn as lrn_reference
from reference import reduce_mean as mean_reference
from reference import softmax as softmax_reference

ROWS = st.lists(st.integers(1, 5), max_size=2)


@quick
@given(ROWS, st.integers(1, 40), SEEDS)
def test_mean_and_softmax_of_every_row(rows: list[int], count: int, seed: int) -> None:
    layout = Layout("planar", (*rows, count))
    x = normal(seed, 2, *layout.shape)
    expected = mean_reference.reduce_mean(x, np.array([-1]), keepdims=0, noop_with_empty_axes=0)
    assert_close(run(mean(layout), x).reshape(expected.shape), expected, rtol=1e-6, atol=1e-6)
    assert_close(
        run(softmax(layout), x), softmax_reference.softmax(x, axis=-1), rtol=5e-6, atol=1e-37
    )
    expected = softmax_reference.log_softmax(x, axis=-1)
    assert_close(run(log_softmax(layout), x), expected, rtol=2e-6, atol=2e-6)


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
