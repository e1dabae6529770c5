"""kernels/normalization.py against the reference."""

from __future__ import annotations

import numpy as np
from closeness import assert_close
from generated import SEEDS, quick
from hypothesis import given
from hypothesis import strategies as st
from kernels.images import normal, run

from columnar_nn.kernels import Layout, normalization
from reference.normalization import layer_normalization

ROWS = st.lists(st.integers(1, 4), max_size=2)


@quick
@given(ROWS, st.integers(2, 50), st.booleans(), SEEDS)
def test_every_row(rows: list[int], count: int, shifts: bool, seed: int) -> None:
    layout = Layout("planar", (*rows, count))
    x = normal(seed, 2, *layout.shape) * 3 + 2
    scale, offset = normal(seed + 1, count), normal(seed + 2, count) if shifts else None
    actual = run(normalization(layout, 0.01, scale, offset), x)
    expected = layer_normalization(x, scale, offset, axis=-1, epsilon=0.01, stash_type=1)
    assert_close(actual, expected, rtol=1e-5, atol=2e-6)


def test_a_large_mean_costs_no_accuracy_of_the_differences() -> None:
    layout = Layout("planar", (37,))
    differences = normal(1, 1, 37)
    x = np.round(differences * 256) / 256 + np.float32(4096)
    actual = run(normalization(layout, 1e-5), x)
    ones = np.ones(37, np.float32)
    expected = layer_normalization(x, ones, axis=-1, epsilon=1e-5, stash_type=1)
    assert_close(actual, expected, rtol=1e-3, atol=1e-3)
