"""Images in and out of the kernels' layouts, and a kernel run alone, for the tests."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from columnar_nn.kernels import BoundKernel, Layout, Program, Step


def stored(images: np.ndarray, layout: Layout) -> np.ndarray:
    """Rows of a kernel's input from images [N, C, H, W] or features [N, F]."""
    count = len(images)
    if layout.kind == "nhwc_bf16":
        channels, height, width = layout.shape
        items = np.zeros((count, height, width, layout.pixel_items), np.uint16)
        items[..., :channels] = bfloat16_bits(images.transpose(0, 2, 3, 1))
        return items.reshape(count, -1)
    if layout.kind != "nchw16c":
        return np.ascontiguousarray(images, layout.dtype).reshape(count, -1)
    channels, height, width = layout.shape
    lanes = np.zeros((count, layout.blocks * 16, height, width), np.float32)
    lanes[:, :channels] = images
    ordered = lanes.reshape(count, layout.blocks, 16, height, width).transpose(0, 1, 3, 4, 2)
    return np.ascontiguousarray(ordered).reshape(count, -1)


def images_of(rows: np.ndarray, layout: Layout) -> np.ndarray:
    """Images [N, C, H, W] or features [N, F] from rows of a kernel's output.

    Fails unless the lanes past the last channel are zero, which other kernels rely on.
    """
    if layout.kind == "nhwc_bf16":
        channels, height, width = layout.shape
        items = rows.reshape(len(rows), height, width, layout.pixel_items)
        assert (items[..., channels:] == 0).all(), "an item past the last channel is not zero"
        values = (items[..., :channels].astype(np.uint32) << 16).view(np.float32)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    if layout.kind != "nchw16c":
        return rows.reshape(len(rows), *layout.shape)
    channels, height, width = layout.shape
    blocks = rows.reshape(len(rows), layout.blocks, height, width, 16)
    lanes = blocks.transpose(0, 1, 4, 2, 3).reshape(len(rows), -1, height, width)
    assert (lanes[:, channels:] == 0).all(), "a lane past the last channel is not zero"
    return lanes[:, :channels]


def bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """float32 rounded to bfloat16, as uint16."""
    with np.errstate(invalid="ignore"):  # as it says of NaN
        bits: np.ndarray = values.astype(ml_dtypes.bfloat16).view(np.uint16)
    return bits


def narrow(values: np.ndarray) -> np.ndarray:
    """float32 rounded to bfloat16, as float32."""
    rounded: np.ndarray = bfloat16_bits(values).view(ml_dtypes.bfloat16).astype(np.float32)
    return rounded


def run(kernel: BoundKernel, *inputs: np.ndarray) -> np.ndarray:
    """What a kernel makes of images; the output starts as NaN, so that nothing is left out."""
    rows = len(inputs[0])
    layout = kernel.output_layout
    output = np.full((rows, layout.num_items), 99, layout.dtype)
    if layout.dtype == np.float32:
        output[:] = np.nan
    numbers = tuple(range(len(inputs)))
    program = Program((Step(kernel, numbers, len(inputs)),), numbers, (len(inputs),))
    arrays = [
        stored(images, input_layout)
        for images, input_layout in zip(inputs, kernel.input_layouts, strict=True)
    ]
    program.run(arrays, [output])
    return images_of(output, layout)


def normal(seed: int, *shape: int) -> np.ndarray:
    """Seeded standard normal float32."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the largest expected value."""
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    return float(np.abs(actual - expected).max() / np.abs(expected).max())
