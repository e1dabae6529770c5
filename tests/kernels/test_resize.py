"""kernels/resize.py against NumPy's products of matrices."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from generated import SEEDS, SIZES, quick
from hypothesis import given
from hypothesis import strategies as st
from kernels.images import normal, run

from columnar_nn.kernels import Layout
from columnar_nn.kernels.layout import Kind
from columnar_nn.kernels.resize import OUTSIDE, resize

KINDS = st.sampled_from(["planar", "nchw16c"])


@quick
@given(
    KINDS, st.integers(1, 20), SIZES, SIZES, SIZES, SIZES, st.integers(1, 3), st.booleans(), SEEDS
)
def test_every_pixel_is_a_sum(
    kind: Kind,
    channels: int,
    height: int,
    width: int,
    out_height: int,
    out_width: int,
    taps: int,
    fills: bool,
    seed: int,
) -> None:
    taps = 1 if kind == "planar" else taps
    random = np.random.default_rng(seed)
    layout = Layout(kind, (channels, height, width))
    x = normal(seed, 2, *layout.shape)
    axes, matrices, outside = [], [], []
    for size, count in ((height, out_height), (width, out_width)):
        sources = random.integers(0, size, (count, taps))
        weights = np.ones((count, taps)) if taps == 1 else random.uniform(-1, 1, (count, taps))
        weights = weights.astype(np.float32)
        is_outside = fills & (random.random(count) < 0.3)
        matrix = np.zeros((count, size))
        for row in range(count):
            np.add.at(matrix[row], sources[row], weights[row])
        axes.append((np.where(is_outside[:, None], OUTSIDE, sources), weights))
        matrices.append(matrix)
        outside.append(is_outside)
    expected = matrices[0] @ x.astype(np.float64) @ matrices[1].T
    expected[:, :, outside[0]] = 0.5
    expected[:, :, :, outside[1]] = 0.5
    actual = run(resize(layout, axes[0], axes[1], 0.5), x)
    tolerance = 0 if taps == 1 else 3e-6
    assert_close(actual, expected.astype(np.float32), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("width", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("outside", [False, True])
def test_planes_of_twice_the_size(width: int, outside: bool) -> None:
    layout = Layout("planar", (3, 5, width))
    x = normal(width, 2, *layout.shape)
    ones = [np.ones((2 * size, 1), np.float32) for size in layout.shape[1:]]
    rows, columns = (np.arange(2 * size)[:, None] // 2 for size in layout.shape[1:])
    expected = x.repeat(2, axis=2).repeat(2, axis=3)
    if outside:
        rows[-2:], expected[:, :, -2:] = OUTSIDE, 0.5
    actual = run(resize(layout, (rows, ones[0]), (columns, ones[1]), 0.5), x)
    assert_close(actual, expected, rtol=0, atol=0)
