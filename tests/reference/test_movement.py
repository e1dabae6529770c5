"""Operators that move elements, and means over axes, against ONNX's evaluator and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from closeness import assert_close
from generated import SEEDS, SIZES, normal, quick
from hypothesis import given
from hypothesis import strategies as st
from onnx_oracle import onnx_result
from reference_operator import computed

from columnar_nn.model.operators import REDUCTIONS


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# Operator, shape of the data, further inputs, attributes.
CASES: list[tuple[str, tuple[int, ...], list[np.ndarray | None], dict[str, Any]]] = [
    ("Flatten", (2, 3, 4), [], {}),
    ("Flatten", (2, 3, 4), [], {"axis": 0}),
    ("Flatten", (2, 3, 4), [], {"axis": -1}),
    ("Flatten", (2, 3, 4), [], {"axis": 3}),
    ("Reshape", (2, 3, 4), [integers(0, -1)], {}),
    ("Reshape", (2, 3, 4), [integers(4, 0, 2)], {}),
    ("Reshape", (2, 6, 2, 2), [integers(2, 2, 3, 2, 2)], {}),
    ("Reshape", (0, 3), [integers(3, 0)], {"allowzero": 1}),
    ("Transpose", (2, 3, 4), [], {}),
    ("Transpose", (2, 3, 4), [], {"perm": [0, 2, 1]}),
    ("Squeeze", (1, 3, 1), [], {}),
    ("Squeeze", (1, 3, 1), [integers(-1)], {}),
    ("Unsqueeze", (3, 4), [integers(0, -1)], {}),
    ("Unsqueeze", (3, 4), [integers(2, 0)], {}),
    ("Identity", (2, 3), [], {}),
    ("Dropout", (2, 3), [], {}),
    ("Concat", (2, 3), [normal(5, 2, 1), normal(6, 2, 4)], {"axis": 1}),
    ("Concat", (2, 3), [normal(5, 1, 3)], {"axis": -2}),
    ("Pad", (2, 3), [integers(0, 1, 2, 3)], {}),
    ("Pad", (2, 3), [integers(0, 1, 2, 3), np.float32(9.5)], {"mode": "constant"}),
    ("Pad", (2, 3, 4), [integers(1, 2), None, integers(-1)], {"mode": "edge"}),
    ("Pad", (4, 5), [integers(3, 2, 1, 4)], {"mode": "reflect"}),
    ("Pad", (4, 5), [integers(3, 2, 1, 4)], {"mode": "wrap"}),
    ("ReduceMean", (2, 3, 4), [], {}),
    ("ReduceMean", (2, 3, 4), [integers(1, -1)], {"keepdims": 0}),
    ("ReduceMean", (2, 3, 4), [integers(1)], {"keepdims": 1}),
    ("ReduceMean", (2, 3, 4), [], {"noop_with_empty_axes": 1}),
    *((reduction, (2, 3, 4), [], {}) for reduction in REDUCTIONS),
    *((reduction, (2, 3, 4), [integers(0, -1)], {"keepdims": 0}) for reduction in REDUCTIONS),
    ("ReduceSum", (2, 0, 4), [integers(1)], {}),
    ("ReduceMax", (2, 0, 4), [integers(1)], {}),
    ("ArgMax", (2, 3, 4), [], {"axis": 1}),
    ("ArgMin", (2, 3, 4), [], {"axis": -1, "keepdims": 0}),
    ("ArgMax", (2, 3, 4), [], {"select_last_index": 1}),
    ("Hardmax", (2, 3, 4), [], {"axis": 1}),
    ("LpNormalization", (2, 3, 4), [], {"axis": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("op_type", "shape", "more", "attributes"), CASES)
def test_matches_onnx(
    op_type: str,
    shape: tuple[int, ...],
    more: list[np.ndarray | None],
    attributes: dict[str, Any],
) -> None:
    inputs = [normal(1, *shape), *more]
    actual = computed(op_type, *inputs, **attributes)
    expected = onnx_result(op_type, inputs, attributes).astype(actual.dtype)
    assert_close(actual, expected, rtol=2e-7, atol=1e-12)


@quick
@given(st.lists(SIZES, min_size=1, max_size=3), st.data(), SEEDS)
def test_slice(shape: list[int], data: st.DataObject, seed: int) -> None:
    axes = data.draw(st.permutations(range(len(shape))))[: data.draw(st.integers(1, len(shape)))]
    bound = st.one_of(st.integers(-9, 9), st.sampled_from([2**63 - 1, -(2**63)]))
    starts, ends = ([data.draw(bound) for _ in axes] for _ in range(2))
    steps = [data.draw(st.sampled_from([-3, -2, -1, 1, 2, 3])) for _ in axes]
    x = normal(seed, *shape)
    inputs = [x, *(integers(*values) for values in (starts, ends, axes, steps))]
    actual = computed("Slice", *inputs)
    assert_close(actual, onnx_result("Slice", inputs, {}), rtol=0, atol=0)


def test_negative_padding_crops() -> None:
    x = normal(1, 4, 5)
    expected = torch.nn.functional.pad(torch.from_numpy(x), (1, -2, -1, 0), value=3.0).numpy()
    actual = computed("Pad", x, integers(-1, 1, 0, -2), np.float32(3))
    assert_close(actual, expected, rtol=0, atol=0)


@quick
@given(st.integers(1, 3), st.integers(1, 4), SEEDS)
def test_channel_shuffle(groups: int, channels: int, seed: int) -> None:
    x = normal(seed, 2, groups * channels, 3, 2)
    split = computed("Reshape", x, integers(0, groups, channels, 3, 2))
    swapped = computed("Transpose", split, perm=[0, 2, 1, 3, 4])
    actual = computed("Reshape", swapped, integers(*x.shape))
    expected = torch.nn.functional.channel_shuffle(torch.from_numpy(x), groups).numpy()
    assert_close(actual, expected, rtol=0, atol=0)
