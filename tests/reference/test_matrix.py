"""reference/gemm.py and mat_mul.py against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from closeness import assert_close
from generated import SEEDS, SIZES, normal, quick
from hypothesis import given
from hypothesis import strategies as st

from reference.gemm import gemm
from reference.mat_mul import mat_mul


@pytest.mark.parametrize("bias", ["none", "scalar", "row", "column", "matrix"])
@quick
@given(
    sizes=st.tuples(SIZES, SIZES, SIZES),
    transposed=st.tuples(st.booleans(), st.booleans()),
    seed=SEEDS,
)
def test_gemm(
    bias: str, sizes: tuple[int, int, int], transposed: tuple[bool, bool], seed: int
) -> None:
    (m, k, n), (transposed_a, transposed_b) = sizes, transposed
    a = normal(seed, *((k, m) if transposed_a else (m, k)))
    b = normal(seed + 1, *((n, k) if transposed_b else (k, n)))
    shapes = {"scalar": (), "row": (n,), "column": (m, 1), "matrix": (m, n)}
    c = None if bias == "none" else np.asarray(normal(seed + 2, *shapes[bias]))
    left, right = (torch.from_numpy(v).double() for v in (a, b))
    product = (left.T if transposed_a else left) @ (right.T if transposed_b else right)
    expected = 0.5 * product + (0 if c is None else -2.0 * torch.from_numpy(c).double())
    actual = gemm(a, b, c, alpha=0.5, beta=-2.0, transA=int(transposed_a), transB=int(transposed_b))
    assert_close(actual, expected.float().numpy(), rtol=2e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
     ((5, 1, 2, 3), (6, 3, 4)), ((2, 3), (5, 3, 1))],
)  # fmt: skip
def test_mat_mul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    left, right = normal(1, *a), normal(2, *b)
    expected = torch.matmul(*(torch.from_numpy(v).double() for v in (left, right)))
    assert_close(mat_mul(left, right), expected.float().numpy(), rtol=2e-7, atol=1e-12)
