"""Element-wise functions: activations, per-channel scale and offset, arithmetic of two tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, packed
from columnar_nn.kernels.parameters import Blocks, Floats
from columnar_nn.kernels.primitives import fma
from columnar_nn.kernels.python_function import PythonFunction


class Unary(NamedTuple):
    """Of a function of each element, in groups of `length` floats, `total` in all.

    Each group has a block of each of the function's constants, and one of the mask: -1 where zero
    is written whatever the function gives, 0 elsewhere.
    """

    groups: int
    length: int
    total: int
    constants: Blocks
    mask: Blocks


class Binary(NamedTuple):
    """Of a function of two tensors, in groups as of Unary.

    With `by_channel` the second one is a block a group rather than of the first one's shape. A
    `constant` takes its place: the same floats in every group.
    """

    groups: int
    length: int
    total: int
    mask: Blocks
    by_channel: bool
    constant: Floats | None


class Pixels(NamedTuple):
    """Of `pixels_to_float`."""

    num_pixels: int
    scale: float


def _groups(x: Layout, by_channel: bool) -> tuple[int, int]:
    """Groups of floats that share constants, and floats in each."""
    if x.kind == "nchw16c":
        return x.blocks, x.shape[1] * x.shape[2] * LANES
    if not by_channel:
        return 1, x.num_items
    if len(x.shape) == 1:
        return -(-x.shape[0] // LANES), LANES
    return x.shape[0], x.num_items // x.shape[0]


def _by_group(x: Layout, constants: Sequence[np.ndarray], groups: int) -> np.ndarray:
    """Of each group a block of each constant: of a value each group, each channel, or for all."""
    channels = x.shape[0] if x.shape else 1
    lanes = np.zeros((groups, len(constants), LANES), np.float32)
    for index, values in enumerate(constants):
        flat = values.reshape(-1)
        if flat.size not in (1, channels):
            raise InvalidModelError(f"{flat.size} constants for {channels} channels")
        if flat.size == 1:
            lanes[:, index] = flat[0]
        elif x.kind == "planar" and len(x.shape) > 1:
            lanes[:, index] = flat[:, np.newaxis]
        else:
            padded = np.zeros(groups * LANES, np.float32)
            padded[: flat.size] = flat
            lanes[:, index] = padded.reshape(groups, LANES)
    return packed(lanes)


def _mask(x: Layout, groups: int) -> np.ndarray:
    """-1 in the lanes past the last channel, which stay zero, and 0 elsewhere."""
    mask = np.zeros((groups, LANES), np.float32)
    if x.kind == "nchw16c":
        mask.reshape(-1)[x.shape[0] :] = -1.0
    return packed(mask)


def _check_float(x: Layout) -> None:
    if x.kind not in ("planar", "nchw16c"):
        raise InvalidModelError(f"an element-wise function needs float32, not {x}")


def unary(x: Layout, function: PythonFunction, *constants: float | np.ndarray) -> BoundKernel:
    """output = function(x, *constants) of each element; a constant is one, or one a channel.

    Raises UsageError for another number of constants than it takes.
    """
    _check_float(x)
    if len(constants) != function.num_constants:
        raise UsageError(
            f"{function.name} takes {function.num_constants} constants, not {len(constants)}"
        )
    values = [np.asarray(value, np.float32) for value in constants]
    groups, length = _groups(x, by_channel=any(value.size > 1 for value in values))
    return BoundKernel(
        name=function.name,
        function=Kernel("elementwise", "unary", (function.key, len(values)), python=function),
        parameters=Unary(
            groups=groups,
            length=length,
            total=x.num_items,
            constants=_by_group(x, values, groups),
            mask=_mask(x, groups),
        ),
        input_layouts=(x,),
        output_layout=x,
        scratch_floats=LANES,
    )


def _scale_add(x: float, scale: float, offset: float) -> float:
    return fma(x, scale, offset)


SCALE_ADD = PythonFunction.of("scale_add", _scale_add)


def scale_add(x: Layout, scale: np.ndarray | None, offset: np.ndarray | None) -> BoundKernel:
    """output = x * scale + offset, both one a channel (or one for all); None is 1 and 0."""
    return unary(x, SCALE_ADD, 1.0 if scale is None else scale, 0.0 if offset is None else offset)


def binary(x: Layout, y: Layout | np.ndarray, function: PythonFunction) -> BoundKernel:
    """output = function(x, y) of each element of tensors of one layout.

    y may also be of shape (C, 1, 1) where both are nchw16c: a value a channel; or a constant of
    the shape of the last axes of x, which is planar then.
    """
    _check_float(x)
    by_channel, constant = False, None
    if isinstance(y, np.ndarray):
        if x.kind != "planar" or x.shape[len(x.shape) - y.ndim :] != y.shape:
            raise InvalidModelError(f"cannot {function.name} {x} and constants {y.shape}")
        length = min(math.lcm(y.size, LANES), x.num_items)  # so that blocks are whole
        groups = -(-x.num_items // length)
        constant = packed(np.resize(y, length))
    else:
        by_channel = x != y and x.kind == y.kind == "nchw16c" and y.shape == (x.shape[0], 1, 1)
        if x != y and not by_channel:
            raise InvalidModelError(f"cannot {function.name} {x} and {y}: the layouts differ")
        groups, length = _groups(x, by_channel=False)
    return BoundKernel(
        name=function.name,
        function=Kernel("elementwise", "binary", (function.key,), python=function),
        parameters=Binary(groups, length, x.num_items, _mask(x, groups), by_channel, constant),
        input_layouts=(x,) if isinstance(y, np.ndarray) else (x, y),
        output_layout=x,
        scratch_floats=2 * LANES,
    )


def pixels_to_float(x: Layout, scale: float = 1.0 / 255.0) -> BoundKernel:
    """uint8 pixels as float32 * scale, planar as they come."""
    if x.kind != "uint8":
        raise InvalidModelError(f"pixels are uint8, not {x}")
    return BoundKernel(
        name="pixels_to_float",
        function=Kernel("elementwise", "pixels_to_float"),
        parameters=Pixels(x.num_items, scale),
        input_layouts=(x,),
        output_layout=Layout("planar", x.shape),
    )
