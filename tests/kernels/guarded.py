"""Checks the convolutions of `convolutions.py` and other kernels with guarded memory: a program.

Every array that a kernel gets, and every one that holds weights, buffers or scratch, lies
against a page that no one may touch, behind it or before it: an access outside ends the process.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from exec import declared
from kernels import convolutions, images, test_bfloat16_bottleneck, test_bottleneck
from kernels.guarded_memory import everything_guarded, guarded, guarded_copy

from columnar_nn import kernels as k
from columnar_nn.errors import InvalidDataError
from columnar_nn.functions import activations, arithmetic
from columnar_nn.kernels import (
    Layout,
    bfloat16,
    bfloat16_bottleneck,
    bottleneck,
    host,
)
from columnar_nn.kernels.normalization import group_normalization, normalization
from columnar_nn.kernels.rearrange import rearrange
from columnar_nn.kernels.reorder import reorder
from columnar_nn.kernels.resize import resize
from columnar_nn.kernels.softmax import hardmax, log_softmax, place_of, softmax

AT_END = sys.argv[1] == "end"


def run(kernel: k.BoundKernel, *inputs: np.ndarray) -> np.ndarray:
    """As `images.run`, in guarded memory."""
    output = guarded(len(inputs[0]) * kernel.output_layout.num_bytes, AT_END)
    output = output.view(kernel.output_layout.dtype).reshape(len(inputs[0]), -1)
    numbers = tuple(range(len(inputs)))
    steps = (k.Step(kernel, numbers, len(inputs)),)
    arrays = [
        guarded_copy(images.stored(given, input_layout), AT_END)
        for given, input_layout in zip(inputs, kernel.input_layouts, strict=True)
    ]
    k.Program(steps, numbers, (len(inputs),)).run(arrays, [output])
    return images.images_of(output.copy(), kernel.output_layout)


def planar_kernels(x: Layout, image: np.ndarray) -> None:
    """Reductions, moves and products, which take planar tensors only."""
    channels, height, width = x.shape
    lines = image.reshape(len(image), 1, channels, height * width)
    run(k.reduction(x, "mean"), image)
    run(k.reduction(Layout("planar", (1, channels, height * width)), "max"), lines)
    rows = Layout("planar", (channels, height * width, 1))
    run(k.reduction(rows, "max"), image.reshape(-1, *rows.shape))
    run(softmax(x), image)
    run(normalization(x, 1e-5, *images.normal(7, 2, width)), image)
    run(hardmax(x), image)
    for width_of_result in (2 * width, width + 1):
        axes = [np.arange(size)[:, None] // 2 for size in (2 * height, width_of_result)]
        ones = [np.ones(axis.shape, np.float32) for axis in axes]
        run(resize(x, *zip(axes, ones, strict=True)), image)
    run(place_of(x, "max", last=False), image)
    run(place_of(x, "min", last=True), image)
    run(k.local_response_normalization(x, 4, 1e-4, 0.75, 1.0), image)
    backward = [np.arange(size)[::-1] for size in x.shape]
    outside = [np.array([-1, *range(size), -1]) for size in x.shape]
    run(rearrange(x, backward), image)
    run(rearrange(x, outside), image)
    ends = np.array([0, channels - 1])
    run(rearrange(x, [np.arange(height), np.arange(width), ends], (1, 2, 0)), image)
    run(rearrange(x, [*backward[:2], np.zeros(37, np.int64)]), image)
    run(rearrange(x, [np.arange(size) for size in x.shape[::-1]], (2, 1, 0)), image)
    for kernel in k.concat((x, x), axis=2):
        run(kernel, image)
    matrix, matrices = Layout("planar", (17, 37)), images.normal(9, 2, 17, 37)
    run(rearrange(matrix, [np.arange(37), np.arange(17)], (1, 0)), matrices)
    run(rearrange(matrix, [np.arange(17), np.tile(np.arange(37), 2)]), matrices)
    right = Layout("planar", (1, width, 19))
    run(k.matrix_product(x, right), image, images.normal(4, 2, *right.shape))
    run(k.matrix_product(x, images.normal(5, channels, width, 16)), image)
    run(k.matrix_product(images.normal(6, 3, height), x), image)
    run(k.binary(x, images.normal(8, height, width), arithmetic.OPERATIONS["add"]), image)
    for columns in (5, 16, 75):
        weight, bias = images.normal(5, width, columns), images.normal(6, columns)
        swish = k.Activation(function=k.PythonFunction("silu", activations.silu))
        layer = k.matrix_product(x, weight, bias, swish, residual=True)
        run(layer, image, images.normal(7, 2, *layer.output_layout.shape))


def narrow_kernels(shape: tuple[int, int, int]) -> None:
    """Convolutions and dense layers in bfloat16, and changes to it and back."""
    x, image = Layout("nhwc_bf16", shape), images.normal(1, 2, *shape)
    run(k.widen(x), image)
    run(k.narrow(Layout("nchw16c", shape)), image)
    if shape[0] <= 4:
        run(k.narrow(Layout("planar", shape)), image)
    for pool in (k.max_pool, k.average_pool):
        run(pool(x, (2, 1), (2, 2), (1, 0, 1, 0)), image)
    run(k.global_average_pool(x), image)
    for kernel in k.concat((x, x)):
        run(kernel, image)
    run(k.dense_bfloat16(x, images.normal(3, 21, image[0].size)), image)
    for filters, size, strides, pads in (
        (21, 3, (1, 1), (1, 1, 1, 1)),
        (4, 2, (2, 2), (1, 0, 0, 1)),
        (33, 1, (1, 1), (0, 0, 0, 0)),
        (16, 1, (2, 1), (0, 0, 0, 0)),
    ):
        weight = images.normal(4, filters, shape[0], size, size)
        kernel = k.conv2d_bfloat16(x, weight, None, strides, pads, residual=True)
        run(kernel, image, images.normal(5, 2, *kernel.output_layout.shape))
    if host.has_bfloat16():
        rows = Layout("planar", (9, 40))
        kernel = k.matrix_product_bfloat16(rows, images.normal(3, 40, 33), residual=True)
        run(kernel, images.normal(4, 2, 9, 40), images.normal(5, 2, 9, 33))


def own_kernels(x: Layout, image: np.ndarray) -> None:
    """Functions of one's own, also with indices outside of the row."""
    run(k.unary(x, k.PythonFunction("lisht", declared.lisht)), image)
    shrink = k.PythonFunction("hard_shrink", declared.hard_shrink)
    run(k.unary(x, shrink, 0.5), image)
    fused = k.Activation(function=shrink, constants=(0.5,))
    run(k.dense(x, images.normal(3, 21, image[0].size), activation=fused), image)
    for filters, algorithm in ((21, "direct"), (2, "direct"), (21, "winograd_f4")):
        weight = images.normal(4, filters, x.shape[0], 3, 3)
        pads = (1, 1, 1, 1)
        run(k.conv2d(x, weight, pads=pads, activation=fused, algorithm=algorithm), image)
    if x.kind == "planar":
        sums = k.PythonFunction("sums", declared.channel_sums)
        run(k.of_row(x, x.shape[:1], sums, 2, 0.5), image)
        flat, beyond = Layout("planar", (x.num_items,)), k.PythonFunction("beyond", declared.beyond)
        row = image.reshape(len(image), -1)
        for first, count in ((-1, 2), (x.num_items - 1, 2), (2**40, 1), (-(2**62), 1)):
            try:
                run(k.of_row(flat, flat.shape, beyond, first, count), row)
            except InvalidDataError:
                continue
            raise AssertionError(f"an index from {first} on was not reported")


def other_kernels(shape: tuple[int, int, int]) -> None:
    """Every kernel but convolutions, on images of a shape."""
    for kind in ("nchw16c", "planar"):
        x = Layout(kind, shape)
        image = images.normal(1, 2, *shape)
        print(x, flush=True)
        run(k.unary(x, k.PythonFunction("sigmoid", activations.sigmoid)), image)
        constants = images.normal(8, 2, shape[0])
        run(group_normalization(x, shape[0], 1e-5, *constants), image)
        run(group_normalization(x, 1, 1e-5, *constants), image)
        run(k.scale_add(x, images.normal(2, shape[0]), None), image)
        run(k.binary(x, x, arithmetic.OPERATIONS["add"]), image, image)
        run(reorder(x, "planar" if kind == "nchw16c" else "nchw16c"), image)
        run(k.dense(x, images.normal(3, 21, image[0].size)), image)
        for kernel in k.concat((x, x)):
            run(kernel, image)
        own_kernels(x, image)
        if kind == "nchw16c":
            last = k.channels_last(x)
            run(k.channels_first(last.output_layout), run(last, image))
            run(k.max_pool(x, (2, 1), (2, 2), (1, 0, 1, 0)), image)
            window = ((2, 1), (2, 2), (1, 0, 1, 0), (2, 1))
            run(k.average_pool(x, *window, ceil_mode=True, count_include_pad=True), image)
            run(k.global_average_pool(x), image)
            for taps in (1, 2):
                axes = [np.arange(2 * taps).reshape(2, taps) % size for size in shape[1:]]
                weights = np.ones((2, taps), np.float32)
                run(resize(x, (axes[0], weights), (axes[1], weights)), image)
        else:
            planar_kernels(x, image)
    pixels = Layout("uint8", shape)
    run(k.pixels_to_float(pixels), np.ones((2, *shape), np.uint8))


def trespass() -> None:
    """Reads the byte beyond the guarded edge of an array, which must end the process."""
    array = guarded(37, AT_END)
    ctypes.string_at(array.ctypes.data + (len(array) if AT_END else -1), 1)


@contextmanager
def guarded_kernels() -> Iterator[None]:
    """Kernels' own memory is guarded, and what convolutions.py gives them."""
    with everything_guarded(AT_END), patch.object(convolutions, "run", run):
        yield


def main() -> None:
    if sys.argv[2:] == ["trespass"]:
        trespass()
    with guarded_kernels():
        check_all()


def check_all() -> None:
    convolutions.main()
    for shape in ((17, 5, 7), (1, 3, 1), (16, 9, 9)):
        other_kernels(shape)
        narrow_kernels(shape)
    narrow_kernels((64, 4, 5))
    bfloat16.tile_kind = lambda: "emulated"
    narrow_kernels((64, 4, 5))
    for block in test_bottleneck.BLOCKS:
        stages = block.stages()
        run(bottleneck.bind(stages), *test_bottleneck.inputs_of(stages))
    for block in test_bfloat16_bottleneck.NARROW:
        narrow = bfloat16_bottleneck.bind(block.stages(), host.has_bfloat16())
        run(narrow, *test_bfloat16_bottleneck.inputs_of(narrow))
    features = Layout("planar", (37,))
    for kernel in (
        softmax(features),
        log_softmax(features),
        place_of(features, "max", False),
    ):
        run(kernel, images.normal(1, 2, 37))


if __name__ == "__main__":
    main()
