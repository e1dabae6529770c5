"""kernels/accuracy.py: what it predicts and promises, against convolutions of the kernels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kernels.images import normal, run, stored

from columnar_nn.kernels import Layout, Program, Step, accuracy, conv2d
from columnar_nn.kernels.conv2d import choose_algorithm
from reference.conv import conv

SIZES = (2, 4, 5, 6)
SIDE = 24
PADS = (1, 1, 1, 1)


def convolved(image: np.ndarray, weight: np.ndarray, algorithm: str) -> np.ndarray:
    layout = Layout("nchw16c", image.shape[1:])
    return run(conv2d(layout, weight, pads=PADS, algorithm=algorithm), image)


def errors(image: np.ndarray, weight: np.ndarray, algorithm: str) -> np.ndarray:
    """Differences of the outputs from those in float64."""
    truth = conv(image.astype(np.float64), weight.astype(np.float64), group=1, pads=PADS)
    return convolved(image, weight, algorithm) - truth


def largest(image: np.ndarray, tile: int, window: int) -> np.ndarray:
    """The greatest |pixel| of all channels in the window of every output's tile, [N, H, W].

    A tile of `tile` x `tile` outputs sees `window` x `window` pixels; the image is padded by one.
    """
    sizes = np.pad(np.abs(image).max(axis=1), ((0, 0), (1, window), (1, window)))
    result = np.empty((len(image), SIDE, SIDE))
    for y in range(SIDE):
        for x in range(SIDE):
            top, left = y // tile * tile, x // tile * tile
            seen = sizes[:, top : top + window, left : left + window]
            result[:, y, x] = seen.max(axis=(1, 2))
    return result


PIXELS = {
    "normal": lambda x: x,
    "rectified": lambda x: np.maximum(x, 0),
    "of many scales": lambda x: x * np.exp(2 * normal(9, 1, x.shape[1], 1, 1)),
    "with outliers": lambda x: np.where(np.abs(x) > 2.8, 100 * x, x),
    "far from zero": lambda x: x + 5,
}
FILTERS = {
    "normal": lambda w: w,
    "of one sign": np.abs,
    "of sum zero": lambda w: w - w.mean(axis=(2, 3), keepdims=True),
    "heavy in the middle": lambda w: w * np.float32([[0.1, 0.3, 0.1], [0.3, 1, 0.3], [0.1] * 3]),
    "heavy in a corner": lambda w: w * np.float32([[1, 0.1, 0.1], [0.1] * 3, [0.1] * 3]),
}


@pytest.mark.parametrize("channels", [5, 16, 128])
@pytest.mark.parametrize("m", SIZES)
def test_the_error_is_the_predicted_multiple_of_direct_convolutions(m: int, channels: int) -> None:
    image, weight = normal(1, 2, channels, SIDE, SIDE), normal(2, 32, channels, 3, 3)
    winograd, direct = (
        np.sqrt((errors(image, weight, algorithm) ** 2).mean())
        for algorithm in (f"winograd_f{m}", "direct")
    )
    assert winograd / direct == pytest.approx(accuracy.predicted(m, channels), rel=0.2)


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("channels", [14, 64])
def test_what_is_admitted_stays_within_three_times(
    pixels: str, filters: str, channels: int
) -> None:
    image = PIXELS[pixels](normal(1, 3, channels, SIDE, SIDE)).astype(np.float32)
    weight = FILTERS[filters](normal(2, 32, channels, 3, 3)).astype(np.float32)
    direct = np.sqrt((errors(image, weight, "direct") ** 2).mean())
    for m in SIZES:
        if accuracy.admits(m, weight):
            error = np.sqrt((errors(image, weight, f"winograd_f{m}") ** 2).mean())
            assert error <= 3 * direct


def test_which_tiles_are_admitted() -> None:
    assert [m for m in SIZES if accuracy.admits(m, np.ones((1, 1, 3, 3)))] == [2]
    assert [m for m in SIZES if accuracy.admits(m, np.ones((1, 16, 3, 3)))] == [2, 4]
    assert [m for m in SIZES if accuracy.admits(m, np.ones((1, 4096, 3, 3)))] == [2, 4]
    assert [m for m in SIZES if accuracy.admits(m, np.zeros((1, 16, 3, 3)))] == [*SIZES]


@pytest.mark.parametrize("zeros", [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("channels", [16, 64])
def test_filters_with_zeros_get_smaller_tiles(channels: int, zeros: float) -> None:
    image, weight = normal(1, 3, channels, SIDE, SIDE), normal(2, 32, channels, 3, 3)
    weight = np.where(np.random.default_rng(3).random(weight.shape) < zeros, np.float32(0), weight)
    layout = Layout("nchw16c", (channels, SIDE, SIDE))
    chosen = choose_algorithm(layout, weight, pads=PADS).algorithm
    direct = np.sqrt((errors(image, weight, "direct") ** 2).mean())
    assert np.sqrt((errors(image, weight, chosen) ** 2).mean()) <= 3 * direct


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("m", [None, *SIZES])
def test_no_error_exceeds_the_bound(m: int | None, pixels: str, filters: str) -> None:
    image = PIXELS[pixels](normal(3, 1, 20, SIDE, SIDE)).astype(np.float32)
    weight = FILTERS[filters](normal(4, 17, 20, 3, 3)).astype(np.float32)
    share = accuracy.bound(weight, m)
    seen = largest(image, 1, 3) if m is None else largest(image, m, m + 2)
    error = np.abs(errors(image, weight, "direct" if m is None else f"winograd_f{m}"))
    assert (error <= share * seen[:, None]).all()


def test_a_large_pixel_is_felt_by_the_outputs_of_its_tile_only() -> None:
    image, weight = normal(5, 1, 32, SIDE, SIDE), normal(6, 32, 32, 3, 3)
    image[0, 7, 9, 10] = 1e6
    blind = np.ones((SIDE, SIDE), bool)
    blind[8:11, 9:12] = False
    direct = np.abs(errors(image, weight, "direct"))[..., blind]
    assert direct.max() < 1e-4
    for m in SIZES:
        error = np.abs(errors(image, weight, f"winograd_f{m}"))
        seen = largest(image, m, m + 2)
        near, far = blind & (seen[0] == 1e6), seen[0] < 1e6
        assert error[..., far].max() < 5e-4
        if m == 2:  # a pixel in the middle of its tiles is seen by all of their outputs
            assert error[..., near].max() < 1e-4
        else:
            assert 1e-3 < error[..., near].max() <= 1e6 * accuracy.bound(weight, m)


@pytest.mark.parametrize("m", SIZES)
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_pixels_up_to_the_largest_do_not_overflow(m: int, scale: float) -> None:
    weight = normal(7, 17, 18, 3, 3) * np.float32(scale)
    most = np.float32(accuracy.largest_pixel(weight, m)) * np.float32(1 - 1e-6)
    layout = Layout("nchw16c", (18, SIDE, SIDE))
    kernel = conv2d(layout, weight, pads=PADS, algorithm=f"winograd_f{m}")
    program = Program((Step(kernel, (0,), 1),), (0,), (1,))
    image = np.sign(normal(8, 2, 18, SIDE, SIDE)) * most
    output = np.empty((2, kernel.output_layout.num_items), np.float32)
    assert program.run([stored(image, layout)], [output])
    assert np.isfinite(output).all()
    for channel, y, x in ((0, 0, 0), (17, SIDE - 1, SIDE - 1), (3, 11, 6)):
        for value in (most * np.float32(1.1), -most * np.float32(1.1), np.inf, -np.inf, np.nan):
            beyond = image.copy()
            beyond[1, channel, y, x] = value
            assert not program.run([stored(beyond, layout)], [output])
    assert program.run([stored(image, layout)], [output])


def test_filters_that_overflow_admit_no_image() -> None:
    weight = np.full((16, 16, 3, 3), 3e38, np.float32)
    assert accuracy.largest_pixel(weight, 4) == -1
    assert math.isfinite(accuracy.bound(weight, 4))
    layout = Layout("nchw16c", (16, 8, 8))
    kernel = conv2d(layout, weight, algorithm="winograd_f4")
    output = np.empty((1, kernel.output_layout.num_items), np.float32)
    program = Program((Step(kernel, (0,), 1),), (0,), (1,))
    assert not program.run([np.zeros((1, layout.num_items), np.float32)], [output])
