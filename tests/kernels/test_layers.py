"""Pooling, dense layers, softmax, argmax and layout changes against NumPy and the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from closeness import assert_close
from kernels.images import error, images_of, normal, run, stored

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import (
    RELU,
    Layout,
    Program,
    Step,
    average_pool,
    channels_first,
    channels_last,
    concat,
    dense,
    global_average_pool,
    max_pool,
)
from columnar_nn.kernels.reorder import reorder
from columnar_nn.kernels.softmax import log_softmax, place_of, softmax
from reference import average_pool as average_reference
from reference import max_pool as max_reference
from reference import softmax as softmax_reference

WINDOWS: list[dict[str, Any]] = [
    {"window": (2, 2), "strides": (2, 2)},
    {"window": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1)},
    {"window": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "ceil_mode": True},
    {"window": (1, 4), "strides": (3, 3), "ceil_mode": True},
]
IMAGE = Layout("nchw16c", (17, 9, 8))


def _onnx(window: dict[str, Any]) -> dict[str, Any]:
    names = {"window": "kernel_shape", "ceil_mode": "ceil_mode"}
    return {"ceil_mode": 0} | {names.get(name, name): value for name, value in window.items()}


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_max_pool(window: dict[str, Any]) -> None:
    x = normal(1, 2, *IMAGE.shape)
    x[0, 3, 4, 4], x[1, 2, 5, 5] = np.nan, -np.inf
    expected = max_reference.max_pool(x, **_onnx(window))
    assert_close(run(max_pool(IMAGE, **window), x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("pool", [max_pool, average_pool])
def test_lanes_past_the_last_channel_stay_zero_where_a_window_sees_padding_alone(pool: Any) -> None:
    kernel = pool(Layout("nchw16c", (5, 1, 2)), (2, 2), pads=(1, 1, 1, 1), dilations=(2, 2))
    spoiled = run(kernel, normal(1, 2, 5, 1, 2))  # which looks at the lanes
    assert not np.isfinite(spoiled).any()


def test_max_pool_with_dilation() -> None:
    x = normal(1, 2, *IMAGE.shape)
    expected = max_reference.max_pool(x, ceil_mode=0, kernel_shape=(2, 3), dilations=(3, 2))
    kernel = max_pool(IMAGE, (2, 3), dilations=(3, 2))
    assert_close(run(kernel, x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_average_pool(window: dict[str, Any], counted: bool) -> None:
    x = normal(1, 2, *IMAGE.shape)
    expected = average_reference.average_pool(x, count_include_pad=int(counted), **_onnx(window))
    kernel = average_pool(IMAGE, count_include_pad=counted, **window)
    assert_close(run(kernel, x), expected, rtol=1e-6, atol=1e-6)


def test_global_average_pool() -> None:
    x = normal(1, 2, *IMAGE.shape)
    expected = average_reference.global_average_pool(x)
    assert_close(run(global_average_pool(IMAGE), x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "layout",
    [
        Layout("planar", (324,)),
        Layout("planar", (37,)),
        Layout("planar", (3, 4, 5)),
        Layout("nchw16c", (1, 6, 5)),
        Layout("nchw16c", (17, 3, 4)),
        Layout("nchw16c", (32, 2, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("outputs", [1, 10, 16, 33])
def test_dense(layout: Layout, outputs: int) -> None:
    x = normal(1, 2, *layout.shape)
    weight, bias = normal(2, outputs, x[0].size), normal(3, outputs)
    expected = x.reshape(2, -1).astype(np.float64) @ weight.T.astype(np.float64) + bias
    assert error(run(dense(layout, weight, bias), x), expected) < 1e-5
    actual = run(dense(layout, weight, None, RELU), x)
    expected = np.maximum(expected - bias, 0)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.parametrize("count", [1, 10, 37])
def test_softmax(count: int) -> None:
    x = normal(1, 3, count) * 5
    x[1, 0] = 300
    layout = Layout("planar", (count,))
    assert_close(
        run(softmax(layout), x), softmax_reference.softmax(x, axis=-1), rtol=5e-6, atol=1e-37
    )
    expected = softmax_reference.log_softmax(x, axis=-1)
    assert_close(run(log_softmax(layout), x), expected, rtol=2e-6, atol=2e-6)
    x[2, count // 2] = np.nan
    assert np.isnan(run(softmax(layout), x)[2]).all()


def test_argmax_takes_the_first_of_equals_and_nan_before_all() -> None:
    x = normal(1, 4, 37)
    x[1, 5] = x[1, 9] = 99
    x[2, 20], x[2, 30] = np.nan, np.nan
    expected = np.array([[x[0].argmax()], [5], [20], [x[3].argmax()]])
    np.testing.assert_array_equal(
        run(place_of(Layout("planar", (37,)), "max", last=False), x), expected
    )


@pytest.mark.parametrize("shape", [(17, 5, 7), (1, 3, 1), (32, 2, 2)])
def test_reorder(shape: tuple[int, int, int]) -> None:
    x = normal(1, 2, *shape)
    for kind, other in (("planar", "nchw16c"), ("nchw16c", "planar")):
        assert_close(run(reorder(Layout(kind, shape), other), x), x, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(17, 5, 7), (1, 3, 1), (32, 2, 2), (40, 1, 3)])
def test_channels_last_and_first(shape: tuple[int, int, int]) -> None:
    x = normal(1, 2, *shape)
    last = channels_last(Layout("nchw16c", shape))
    pixels = np.moveaxis(x, 1, -1)
    assert_close(run(last, x), pixels, rtol=0, atol=0)
    assert_close(run(channels_first(last.output_layout), pixels), x, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["planar", "nchw16c"])
@pytest.mark.parametrize("channels", [(16, 32, 5), (3, 17, 1), (16, 16)])
def test_concat(kind: str, channels: tuple[int, ...]) -> None:
    images = [normal(index, 2, count, 3, 4) for index, count in enumerate(channels)]
    kernels = concat([Layout(kind, (count, 3, 4)) for count in channels])
    inputs, output = tuple(range(len(channels))), len(channels)
    steps = tuple(Step(kernel, (number,), output) for number, kernel in enumerate(kernels))
    layout = kernels[0].output_layout
    rows = np.full((2, layout.num_items), np.nan, np.float32)
    arrays = [stored(x, k.input_layouts[0]) for x, k in zip(images, kernels, strict=True)]
    Program(steps, inputs, (output,)).run(arrays, [rows])
    assert_close(images_of(rows, layout), np.concatenate(images, axis=1), rtol=0, atol=0)


def test_wrong_layouts_are_named() -> None:
    planar = Layout("planar", (3, 4, 4))
    with pytest.raises(InvalidModelError, match="reorder"):
        max_pool(planar, (2, 2))
    with pytest.raises(InvalidModelError, match="larger"):
        max_pool(IMAGE, (10, 1))
    with pytest.raises(InvalidModelError, match="does not fit"):
        dense(planar, normal(1, 2, 47))
    with pytest.raises(InvalidModelError, match="not in blocks"):
        channels_last(planar)
    with pytest.raises(InvalidModelError, match="no image"):
        channels_first(IMAGE)
    with pytest.raises(InvalidModelError, match="concatenate"):
        concat([planar, Layout("planar", (3, 4, 5))])
    with pytest.raises(InvalidModelError, match="features"):
        softmax(IMAGE)
