"""reference/conv.py against PyTorch, ONNX's evaluator and the definition of automatic padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from closeness import assert_close
from generated import SEEDS, normal, quick, windows
from hypothesis import given
from hypothesis import strategies as st
from onnx_oracle import onnx_result

from reference import conv as conv_module
from reference.conv import conv

TORCH = {
    1: torch.nn.functional.conv1d,
    2: torch.nn.functional.conv2d,
    3: torch.nn.functional.conv3d,
}


def torch_conv(x: np.ndarray, w: np.ndarray, b: np.ndarray, **window: Any) -> np.ndarray:
    """PyTorch's convolution in float64, uneven padding written out."""
    rank = x.ndim - 2
    pads = window["pads"]
    widths = [width for i in reversed(range(rank)) for width in (pads[i], pads[i + rank])]
    padded = torch.nn.functional.pad(torch.from_numpy(x).double(), widths)
    result = TORCH[rank](
        padded,
        torch.from_numpy(w).double(),
        torch.from_numpy(b).double(),
        stride=window["strides"],
        dilation=window["dilations"],
        groups=window["group"],
    )
    return result.float().numpy()


@quick
@given(windows(), st.lists(st.integers(1, 3), min_size=4, max_size=4), SEEDS)
def test_matches_pytorch_and_onnx(window: dict[str, Any], counts: list[int], seed: int) -> None:
    size = window.pop("size")
    images, group, channels, filters = counts
    x = normal(seed, images, group * channels, *size)
    w = normal(seed + 1, group * filters, channels, *window["kernel_shape"])
    b = normal(seed + 2, group * filters)
    actual = conv(x, w, b, group=group, **window)
    assert_close(actual, torch_conv(x, w, b, group=group, **window), rtol=2e-7, atol=1e-12)
    expected = onnx_result("Conv", [x, w, b], {"group": group, **window})
    assert_close(actual, expected, rtol=2e-7, atol=1e-12)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [5, 8])
def test_automatic_padding(mode: str, kernel: int, stride: int, dilation: int, size: int) -> None:
    x, w = normal(1, 1, 2, size), normal(2, 3, 2, kernel)
    actual = conv(x, w, group=1, auto_pad=mode, strides=[stride], dilations=[dilation])
    count = int(np.ceil(size / stride))
    total = max(0, (count - 1) * stride + dilation * (kernel - 1) + 1 - size)
    more, less = (total + 1) // 2, total // 2
    pads = [less, more] if mode == "SAME_UPPER" else [more, less]
    assert actual.shape == (1, 3, count)
    expected = torch_conv(
        x, w, np.zeros(3, np.float32), pads=pads, strides=[stride], dilations=[dilation], group=1
    )
    assert_close(actual, expected, rtol=2e-7, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_upper_is_what_pytorch_calls_same() -> None:
    x, w = normal(1, 2, 3, 9, 8), normal(2, 4, 3, 4, 3)
    double = [torch.from_numpy(a).double() for a in (x, w)]
    expected = torch.nn.functional.conv2d(*double, padding="same").float().numpy()
    assert_close(conv(x, w, group=1, auto_pad="SAME_UPPER"), expected, rtol=2e-7, atol=1e-12)


def test_products_are_summed_in_float64_and_rounded_once() -> None:
    # In float32 the large values would swallow the small ones: 1e8 + 1 - 1e8 is 0 there.
    x = np.array([1e8, 1.0, -1e8], np.float32).reshape(1, 3, 1, 1)
    w = np.ones((1, 3, 1, 1), np.float32)
    assert conv(x, w, group=1).item() == 1.0


def test_chunks_of_images_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = normal(1, 7, 3, 6, 6), normal(2, 4, 3, 3, 3)
    whole = conv(x, w, group=1)
    monkeypatch.setattr(conv_module, "PATCH_BYTES", 2 * 8 * 27 * 16)
    assert_close(conv(x, w, group=1), whole, rtol=2e-7, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_spoils_what_sees_it_only(value: float) -> None:
    x, w = normal(1, 1, 2, 6, 6), np.abs(normal(2, 3, 2, 3, 3))
    x[0, 1, 2, 2] = value
    actual = conv(x, w, group=1)
    expected = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w)).numpy()
    assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert np.isfinite(actual[..., 3:, :]).all()
    assert not np.isfinite(actual[..., :3, :3]).any()
