"""reference/max_pool.py and average_pool.py against PyTorch and ONNX's evaluator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from closeness import assert_close
from generated import SEEDS, normal, quick, windows
from hypothesis import given
from hypothesis import strategies as st

from reference.average_pool import average_pool, global_average_pool
from reference.max_pool import max_pool

functional = torch.nn.functional
MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def half(kernel: int) -> int:
    """PyTorch pads a pooling window by half of it at most."""
    return kernel // 2


def symmetric(window: dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
    """The input size, and the window with equal padding on both sides, as PyTorch has it."""
    rank = len(window["kernel_shape"])
    begins = window["pads"][:rank]
    # The generated size fits the generated padding; what is lost at the end is added here.
    grown = [
        s + abs(e - b)
        for s, b, e in zip(window["size"], begins, window["pads"][rank:], strict=True)
    ]
    rest = {k: v for k, v in window.items() if k != "size"}
    return grown, {**rest, "pads": begins * 2}


@quick
@given(windows(most_padding=half), st.booleans(), SEEDS)
def test_max_pool(window: dict[str, Any], ceil_mode: bool, seed: int) -> None:
    size, window = symmetric(window)
    x = normal(seed, 2, 3, *size)
    expected = MAX[len(size)](
        torch.from_numpy(x),
        window["kernel_shape"],
        stride=window["strides"],
        padding=window["pads"][: len(size)],
        dilation=window["dilations"],
        ceil_mode=ceil_mode,
    )
    assert_close(max_pool(x, ceil_mode=ceil_mode, **window), expected.numpy(), rtol=0, atol=0)


@quick
@given(windows(most_padding=half), st.booleans(), st.booleans(), SEEDS)
def test_average_pool(
    window: dict[str, Any], ceil_mode: bool, count_include_pad: bool, seed: int
) -> None:
    size, window = symmetric(window)
    rank = len(size)
    window["dilations"] = [1] * rank  # PyTorch has no dilated average
    x = normal(seed, 2, 3, *size)
    expected = AVERAGE[rank](
        torch.from_numpy(x).double(),
        window["kernel_shape"],
        stride=window["strides"],
        padding=window["pads"][:rank],
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
    actual = average_pool(
        x, ceil_mode=int(ceil_mode), count_include_pad=int(count_include_pad), **window
    )
    assert_close(actual, expected.float().numpy(), rtol=2e-7, atol=1e-12)


@quick
@given(windows(most_rank=2), SEEDS)
def test_dilated_average_pool_is_a_convolution(window: dict[str, Any], seed: int) -> None:
    size = window.pop("size")
    x = normal(seed, 2, 1, *size)
    rank = len(size)
    widths = [
        w for i in reversed(range(rank)) for w in (window["pads"][i], window["pads"][i + rank])
    ]
    padded = functional.pad(torch.from_numpy(x).double(), widths)
    filters = torch.ones((1, 1, *window["kernel_shape"]), dtype=torch.float64)
    convolve = {1: functional.conv1d, 2: functional.conv2d}[rank]
    sums = convolve(padded, filters, stride=window["strides"], dilation=window["dilations"])
    expected = (sums / filters.sum()).float().numpy()
    actual = average_pool(x, ceil_mode=0, count_include_pad=1, **window)
    assert_close(actual, expected, rtol=2e-7, atol=1e-12)


@quick
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), SEEDS)
def test_global_average_pool(size: list[int], seed: int) -> None:
    x = normal(seed, 2, 3, *size)
    expected = torch.from_numpy(x).double().mean(dim=tuple(range(2, x.ndim)), keepdim=True)
    assert_close(global_average_pool(x), expected.float().numpy(), rtol=2e-7, atol=1e-12)


def test_max_pool_keeps_nan_and_never_takes_the_padding() -> None:
    x = np.full((1, 1, 4), -5.0, np.float32)
    x[0, 0, 3] = np.nan
    actual = max_pool(x, ceil_mode=0, kernel_shape=[2], strides=[2], pads=[1, 1])
    assert_close(actual, np.array([[[-5, -5, np.nan]]], np.float32), rtol=0, atol=0)
