"""kernels/matrix.py against numpy.matmul in float64."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from generated import SEEDS, quick
from hypothesis import given
from hypothesis import strategies as st
from kernels.images import error, normal, run

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import (
    Activation,
    Layout,
    Program,
    Step,
    Team,
    TeamProgram,
    Threads,
    matrix_product,
)
from columnar_nn.kernels.parameters import address

MATRICES = (Layout("planar", (3, 5, 7)), Layout("planar", (3, 7, 33)))


@quick
@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from("lrb")), max_size=2),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40)),
    st.sampled_from(["left", "right", "neither"]),
    SEEDS,
)
def test_products_broadcast(
    leading: list[tuple[int, str]], sizes: tuple[int, int, int], constant: str, seed: int
) -> None:
    """A leading dimension is that of the left ("l") or right factor alone, or of both."""
    rows, inner, columns = sizes
    left = [1 if whose == "r" else size for size, whose in leading]
    right = [1 if whose == "l" else size for size, whose in leading]
    a, b = normal(seed, 2, *left, rows, inner), normal(seed + 1, 2, *right, inner, columns)
    operands = [Layout("planar", a.shape[1:]), Layout("planar", b.shape[1:])]
    inputs = [a, b]
    if constant != "neither":
        index = ("left", "right").index(constant)
        operands[index] = inputs.pop(index)[0]
        a, b = (a[:1], b) if index == 0 else (a, b[:1])
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert error(run(matrix_product(*operands), *inputs), expected) < 2e-6


@quick
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 15), st.integers(1, 9), st.integers(1, 70)),
    st.booleans(),
    SEEDS,
)
def test_a_layer_adds_and_clamps(
    sizes: tuple[int, int, int, int], residual: bool, seed: int
) -> None:
    matrices, rows, inner, columns = sizes
    x, weight = normal(seed, 2, matrices, rows, inner), normal(seed + 1, inner, columns)
    bias, inputs = normal(seed + 2, columns), [x]
    expected = np.matmul(x.astype(np.float64), weight) + bias
    if residual:
        inputs.append(normal(seed + 3, *expected.shape))
        expected = expected + inputs[1]
    given = (Layout("planar", x.shape[1:]), weight, bias, Activation(-0.5, 2.0), residual)
    found = run(matrix_product(*given), *inputs)
    assert_close(found, expected.clip(-0.5, 2.0).astype(np.float32), rtol=0, atol=3e-6)


def test_a_team_writes_every_element() -> None:
    left, right = (normal(seed, 1, *x.shape) for seed, x in enumerate(MATRICES))
    program = Program((Step(matrix_product(*MATRICES), (0, 1), 2),), (0, 1), (2,))
    output = np.full((1, 3, 5, 33), np.nan, np.float32)
    team = TeamProgram(program, Team(3, Threads(2)), 3)
    team.run_at([address(left), address(right), address(output)], 1, "image")
    expected = np.matmul(left.astype(np.float64), right.astype(np.float64))
    assert_close(output, expected.astype(np.float32), rtol=1e-5, atol=1e-6)


def test_nan_and_infinity_stay_in_their_row_and_column() -> None:
    left, right = np.ones((2, 4, 3), np.float32), np.ones((2, 3, 20), np.float32)
    left[0, 1, 2], right[1, 0, 17] = np.nan, np.inf
    kernel = matrix_product(Layout("planar", (4, 3)), Layout("planar", (3, 20)))
    assert_close(run(kernel, left, right), np.matmul(left, right), rtol=0, atol=0)


@pytest.mark.parametrize(
    "operands",
    [
        (np.ones((2, 2), np.float32), np.ones((2, 2), np.float32)),
        (MATRICES[0], MATRICES[0]),
        (MATRICES[0], np.ones(7, np.float32)),
        (MATRICES[0], np.ones((2, 7, 4), np.float32)),
        (Layout("nchw16c", (3, 5, 7)), MATRICES[1]),
    ],
)
def test_wrong_operands_are_named(operands: tuple[Layout, Layout]) -> None:
    with pytest.raises(InvalidModelError, match="cannot multiply matrices"):
        matrix_product(*operands)
