"""Random small convolutional networks: the sizes, shapes and neighbours that kernels tell apart.

What random_network.py draws of every operator, this draws of convolutions and what networks put
around them: channels and filters around multiples of 16, windows wider than the image, every kind
of group, residuals, excitations, bottlenecks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from fuzz.random_network import (
    DoesNotFitError,
    Draw,
    Sample,
    Writer,
    average_pool,
    batch_normalization,
    blocks,
    concat,
    conv_transpose,
    extended,
    gemm,
    global_pool,
    images_of,
    max_pool,
    model_of,
    pad,
    prelu,
    residual,
    slice_,
    split,
    unary,
)

OPSETS = range(13, 22)
NUM_IMAGES = (17, 33)
"""Enough that the noise of a column is not small by luck; forms cut them into smaller batches."""
MOST_LAYERS = 6
MOST_ELEMENTS = 2**14
"""Of one image in any tensor."""
MOST_MULTIPLY_ADDS = 2**24
"""Of a convolution of all images: the reference takes its time."""
SIDES = (*range(1, 10), 12, 13, 14, 15, 16, 17, 19, 23, 28, 31, 32, 33, 40)


def _count(w: Writer, most: int = 70) -> int:
    """Channels or filters, often around a multiple of 16."""
    near = [n for block in (8, 16, 32, 48, 64) for n in range(block - 1, block + 2) if n <= most]
    if w.chance(0.5) and near:
        return int(w.choice(near))
    return w.integer(1, min(most, w.choice([4, 20, 70])))


def _taps(w: Writer, size: int) -> int:
    if w.chance(0.5):
        return int(w.choice([1, 1, 3, 3, 3, 5, 7]))
    return int(w.choice([2, 4, 6, 8, 11, 15, 16, 16, 16, 17, size, size + 1]))


def _window(w: Writer, sizes: Sequence[int]) -> tuple[list[int], dict[str, list[int]]]:
    """A filter's size, and attributes by which it fits images of these sizes."""
    usual, square = w.chance(0.4), w.chance(0.7)
    if usual:
        kernel = [w.choice([1, 3, 3, 3, 5])] * 2
    else:
        kernel = [_taps(w, size) for size in sizes]
        kernel = [kernel[0]] * 2 if square else kernel
    dilations = [1 if usual else w.choice([1, 1, 1, 1, 2, 3]) for _ in sizes]
    extents = [(taps - 1) * step + 1 for taps, step in zip(kernel, dilations, strict=True)]
    ways = {
        "none": [0] * 4,
        "same": [extent // 2 for extent in extents] * 2,
        "any": [w.integer(0, extent - 1) for extent in extents * 2],
        "more": [w.integer(0, extent + 1) for extent in extents * 2],
    }
    pads = ways[w.choice(["none", "same", "same", "same", "any", "any"] + ["more"] * (not usual))]
    if any(
        size + before + after < extent
        for size, before, after, extent in zip(sizes, pads[:2], pads[2:], extents, strict=True)
    ):
        raise DoesNotFitError("window")
    strides = [w.choice([1, 1, 1, 1, 2] if usual else [1, 1, 2, 3, taps]) for taps in kernel]
    strides = [strides[0]] * 2 if square else strides
    return kernel, {"strides": strides, "dilations": dilations, "pads": pads}


def _conv(
    w: Writer, x: str, filters: int, group: int, kernel: Sequence[int], **attributes: list[int]
) -> str:
    weight = w.normal(filters, w.shapes[x][1] // group, *kernel)
    inputs = [x, w.constant(weight)]
    if w.chance(0.7):
        inputs.append(w.constant(w.normal(filters)))
    made = w.node("Conv", *inputs, group=group, **attributes)
    if weight.size * w.num_images * math.prod(w.shapes[made][2:]) > MOST_MULTIPLY_ADDS:
        raise DoesNotFitError("too many multiply-adds")
    return made


def convolution(w: Writer, x: str) -> str:
    channels = w.shapes[x][1]
    kernel, attributes = _window(w, w.spatial(x))
    kind = w.random.random()
    if kind < 0.65:
        return _conv(w, x, _count(w), 1, kernel, **attributes)
    if kind < 0.8:  # depthwise, and several filters a channel
        return _conv(w, x, channels * w.choice([1, 1, 1, 2, 3]), channels, kernel, **attributes)
    group = w.choice([g for g in range(1, channels + 1) if channels % g == 0])
    return _conv(w, x, group * w.integer(1, max(1, 70 // group)), group, kernel, **attributes)


def _pointwise(w: Writer, x: str, filters: int) -> str:
    return _conv(w, x, filters, 1, [1, 1])


def bottleneck(w: Writer, x: str) -> str:
    """A depthwise convolution between 1x1 ones, or beside one; often with what it began with."""
    w.spatial(x)
    first, channels = x, w.shapes[x][1]
    expands, projects = w.choice([(True, True), (True, True), (True, False), (False, True)])
    if expands:
        x = activation(w, _pointwise(w, x, _count(w)))
    between = w.shapes[x][1]
    kernel, attributes = _window(w, w.spatial(x))
    x = activation(w, _conv(w, x, between, between, kernel, **attributes))
    if projects:
        x = _pointwise(w, x, channels if w.chance(0.6) else _count(w))
    return w.node("Add", x, first) if w.shapes[x] == w.shapes[first] and w.chance(0.8) else x


def excitation(w: Writer, x: str) -> str:
    """Channels scaled by what two small layers make of their means."""
    w.multiply()
    w.spatial(x)
    means = w.node("GlobalAveragePool", x)
    squeezed = w.node("Relu", _pointwise(w, means, w.integer(1, 20)))
    kind = w.choice(["Sigmoid", "HardSigmoid"])
    return w.node("Mul", x, w.node(kind, _pointwise(w, squeezed, w.shapes[x][1])))


def clamp(w: Writer, x: str) -> str:
    """To an interval that leaves most of what lies around zero as it is."""
    low, high = w.choice([None, 0.0, -0.5, -3.0]), w.choice([None, 2.0, 6.0])
    bounds = [
        "" if each is None else w.constant(np.array(each, np.float32)) for each in (low, high)
    ]
    return w.node("Clip", x, *(bounds if bounds[1] else bounds[:1]))


def activation(w: Writer, x: str) -> str:
    kind = w.random.random()
    if kind < 0.3:
        return w.node("Relu", x)
    if kind < 0.55:
        return clamp(w, x)
    if kind < 0.7:
        return w.node("Mul", x, w.node("Sigmoid", x))
    if kind < 0.8:
        return prelu(w, x)
    return unary(w, x)


def added(w: Writer, x: str) -> str:
    """Another tensor of the same shape, a convolution's if there is none; perhaps activated."""
    others = [name for name, shape in w.shapes.items() if shape == w.shapes[x] and name != x]
    if others and w.chance(0.7):
        other = w.choice(others)
    else:
        w.spatial(x)
        other = _conv(w, x, w.shapes[x][1], 1, [3, 3], pads=[1, 1, 1, 1])
    pair = [x, other] if w.chance(0.5) else [other, x]
    made = w.node("Add", *pair)
    return activation(w, made) if w.chance(0.6) else made


def enlarged(w: Writer, x: str) -> str:
    w.spatial(x)
    scales = w.constant(np.array([1, 1, w.integer(1, 3), w.integer(1, 3)], np.float32))
    mode = {"mode": "linear"} if w.chance(0.4) else {"mode": "nearest"}
    asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return w.node("Resize", x, "", scales, **mode, **asymmetric)


LAYERS: dict[Draw, float] = {
    convolution: 8,
    bottleneck: 2.5,
    activation: 3,
    batch_normalization: 1.5,
    added: 2,
    residual: 0.5,
    excitation: 0.7,
    max_pool: 0.7,
    average_pool: 0.7,
    global_pool: 0.1,
    enlarged: 0.6,
    concat: 0.8,
    split: 0.2,
    slice_: 0.3,
    pad: 0.3,
    conv_transpose: 0.3,
    blocks: 0.2,
    gemm: 0.2,
}
"""How often each is drawn, relative to the others."""


def sample(seed: int) -> Sample:
    """The network and images of a seed."""
    random = np.random.default_rng(seed)
    opset, num_images = int(random.choice(OPSETS)), int(random.choice(NUM_IMAGES))
    w = Writer(random, opset, num_images, fixed_batch=False, most_elements=MOST_ELEMENTS)
    channels = w.integer(1, 4) if w.chance(0.5) else _count(w)
    sides = [int(w.choice(SIDES)) for _ in range(2)]
    while channels * math.prod(sides) > MOST_ELEMENTS:
        sides = [-(-side // 2) for side in sides]
    w.add_input("x", (num_images, channels, *sides))
    last = "x"
    if w.chance(0.7):
        last = extended(w, last, {convolution: 1})
    for _ in range(w.integer(1, MOST_LAYERS)):
        last = extended(w, last if w.chance(0.85) else w.choice(list(w.shapes)), LAYERS)
    if w.chance(0.3):
        last = gemm(w, last)
    made = [name for name in w.shapes if name != "x"]
    also = [w.choice(made) for _ in range(w.choice([0, 0, 1]))]
    model = model_of(w, list(dict.fromkeys([last, *also])))
    return Sample(model, images_of(w), model)
