"""ONNX Conv: the algorithm chosen and bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.errors import UsageError
from columnar_nn.kernels import cost, direct, winograd
from columnar_nn.kernels.convolution import resolve
from columnar_nn.kernels.layout import BoundKernel, Layout

ALGORITHMS = ("auto", "direct", "winograd", *(f"winograd_f{m}" for m in cost.TILE_SIZES))


def choose_algorithm(
    x: Layout,
    weight_shape: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
) -> cost.Choice:
    """What `conv2d` does with `algorithm`, and the predicted costs of all that apply.

    "auto" takes the cheapest of all, "winograd" the cheapest of Winograd's, "direct" is direct.
    Where Winograd's algorithm does not apply, every choice is direct.
    """
    weight = np.broadcast_to(np.float32(0), tuple(weight_shape))
    convolution = resolve(x, weight, None, strides, pads, dilations, groups, None, False)
    choice = cost.choose(convolution)
    if algorithm not in ALGORITHMS:
        raise UsageError(f"no algorithm {algorithm!r}: use {', '.join(ALGORITHMS)}")
    candidates = {
        name: price
        for name, price in choice.costs.items()
        if algorithm == "auto" or name.startswith(algorithm)
    }
    chosen = min(candidates, key=candidates.__getitem__) if candidates else cost.DIRECT
    return cost.Choice(chosen, choice.costs)


def conv2d(
    x: Layout,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    activation: str | None = None,
    algorithm: str = "auto",
    residual: bool = False,
) -> BoundKernel:
    """output = activation(x convolved with weight + bias + second input), nchw16c.

    x is nchw16c or planar (few channels, an image). `weight` is [filters, channels / groups,
    height, width], `pads` (top, left, bottom, right), `activation` None, "relu" or "relu6". The
    second input, of the output's layout, exists with `residual`. `algorithm` is "auto",
    "direct", "winograd", or "winograd_f2", "winograd_f4", "winograd_f5" or "winograd_f6": see
    `choose_algorithm`.

    Error against float64, relative to the largest output: below 1e-5 direct, 5e-5 Winograd on
    plain9. NaN and infinity: direct spoils the outputs that see the value, Winograd the whole tile
    of up to 6 x 6 that does (and makes NaN of an infinity); neither ever hides one.
    """
    choice = choose_algorithm(x, weight.shape, strides, pads, dilations, groups, algorithm)
    convolution = resolve(x, weight, bias, strides, pads, dilations, groups, activation, residual)
    if choice.algorithm == cost.DIRECT:
        return direct.bind(convolution)
    return winograd.bind(convolution, int(choice.algorithm.removeprefix("winograd_f")))
