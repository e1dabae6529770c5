"""kernels/normalization.py against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from generated import SEEDS, quick
from hypothesis import given
from hypothesis import strategies as st
from kernels.images import normal, run

from columnar_nn.kernels import Layout
from columnar_nn.kernels.layout import Kind
from columnar_nn.kernels.normalization import group_normalization, normalization
from reference.normalization import group_normalization as reference_of_groups
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


@quick
@given(
    st.sampled_from(["planar", "nchw16c"]),
    st.sampled_from([(1, 1), (3, 1), (16, 1), (1, 24), (2, 8), (5, 4), (2, 16), (1, 32), (4, 9)]),
    st.integers(1, 9),
    st.integers(2, 9),
    SEEDS,
)
def test_groups_of_channels(
    kind: Kind, sizes: tuple[int, int], height: int, width: int, seed: int
) -> None:
    groups, group = sizes
    layout = Layout(kind, (groups * group, height, width))
    x = normal(seed, 2, *layout.shape) * 3 + 2
    constants = normal(seed + 1, groups * group), normal(seed + 2, groups * group)
    actual = run(group_normalization(layout, groups, 0.01, *constants), x)
    expected = reference_of_groups(x, *constants, num_groups=groups, epsilon=0.01, stash_type=1)
    assert_close(actual, expected, rtol=1e-5, atol=4e-6)


@pytest.mark.parametrize("kind", ["planar", "nchw16c"])
def test_a_group_spoils_no_other(kind: Kind) -> None:
    """An infinity in one, and none but zeros in another, whose variance is 0 as epsilon is."""
    layout = Layout(kind, (6, 3, 7))
    x = normal(1, 1, *layout.shape)
    x[0, 1, 2, 3], x[0, 4:] = np.inf, 0
    ones = np.ones(6, np.float32)
    actual = run(group_normalization(layout, 3, 0.0, ones, ones), x)
    assert np.isnan(actual[0, [0, 1, 4, 5]]).all()
    assert np.isfinite(actual[0, 2:4]).all()
