"""ONNX Conv: the algorithm chosen and bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.errors import UsageError
from columnar_nn.kernels import accuracy, cost, direct, winograd
from columnar_nn.kernels.activation import NO_ACTIVATION, Activation
from columnar_nn.kernels.convolution import TEXTBOOK, Convolution, resolve
from columnar_nn.kernels.dense import dense
from columnar_nn.kernels.layout import BoundKernel, Layout
from columnar_nn.record import Record

WINOGRAD = {cost.winograd_name(m): m for m in cost.TILE_SIZES}
"""Tile size of each of Winograd's algorithms."""

ALGORITHMS = ("auto", "direct", "winograd", TEXTBOOK, *WINOGRAD)


class Choice(Record):
    """The algorithm chosen, and the predicted cost of each that "auto" chooses from."""

    algorithm: str
    costs: dict[str, int]


def choose_algorithm(
    x: Layout,
    weight: np.ndarray,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
) -> Choice:
    """What `conv2d` does with `algorithm`, and the predicted costs of all that may be chosen.

    "auto" takes the cheapest of direct convolution and the tiles that `accuracy` admits,
    "winograd" the cheapest of Winograd's, however large its error, "direct" is direct. Where
    Winograd's algorithm does not apply, each of these is direct. "textbook" is never chosen, only
    asked for.
    """
    convolution = resolve(x, weight, None, strides, pads, dilations, groups, NO_ACTIVATION, False)
    return _choice(convolution, algorithm)


def _choice(convolution: Convolution, algorithm: str) -> Choice:
    costs = cost.predict(convolution)
    if algorithm not in ALGORITHMS:
        raise UsageError(f"no algorithm {algorithm!r}: use {', '.join(ALGORITHMS)}")
    if algorithm == TEXTBOOK:
        return Choice(algorithm, costs)
    candidates = sorted(
        (name for name in costs if algorithm == "auto" or name.startswith(algorithm)),
        key=costs.__getitem__,
    )
    allowed = (
        name for name in candidates if algorithm != "auto" or _is_accurate(name, convolution.weight)
    )
    return Choice(next(allowed, cost.DIRECT), costs)


def _is_accurate(algorithm: str, weight: np.ndarray) -> bool:
    return algorithm == cost.DIRECT or accuracy.admits(WINOGRAD[algorithm], weight)


def conv2d(
    x: Layout,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    activation: Activation = NO_ACTIVATION,
    algorithm: str = "auto",
    residual: bool = False,
) -> BoundKernel:
    """output = activation(x convolved with weight + bias + second input), nchw16c.

    x is nchw16c or planar (few channels, an image); for "textbook" it is planar, and so is the
    output. `weight` is [filters, channels / groups, height, width], `pads` (top, left, bottom,
    right). The second input, of the output's layout, exists
    with `residual`. `algorithm` is "auto", "direct", "textbook", "winograd", or "winograd_f2",
    "winograd_f4", "winograd_f5" or "winograd_f6": see `choose_algorithm`.

    Error against float64: at most the kernel's `error_bound`. NaN and infinity: direct and textbook
    spoil the outputs that see the value, Winograd the whole tile of up to 6 x 6 that does (and
    makes NaN of an infinity), also where finite values overflow in its transforms. None ever
    hides one: of Winograd's, Program.run tells.
    """
    convolution = resolve(x, weight, bias, strides, pads, dilations, groups, activation, residual)
    chosen = _choice(convolution, algorithm).algorithm
    m = WINOGRAD.get(chosen)
    if chosen == TEXTBOOK:
        from columnar_nn.kernels import textbook  # nothing that is to be fast has it

        kernel = textbook.bind(convolution)
    elif m is not None:
        kernel = winograd.bind(convolution, m)
    elif convolution.is_one_pixel:
        matrix = convolution.weight[:, :, 0, 0]
        kernel = dense(x, matrix, convolution.bias, activation, as_image=True)
        kernel = kernel.replaced(name="conv2d_direct_1x1")
    else:
        in_tiles = _depthwise(convolution) if convolution.is_depthwise else None
        kernel = in_tiles or direct.bind(convolution)
    return kernel.replaced(error_bound=accuracy.bound(convolution.weight, m))


def _depthwise(convolution: Convolution) -> BoundKernel | None:
    """In tiles, if it can be."""
    from columnar_nn.kernels import depthwise  # of few networks

    tiles = depthwise.tiling(convolution)
    return None if tiles is None else depthwise.bind(convolution, tiles)
