"""float32 images rounded to bfloat16, and back: nchw16c, or planar of few channels."""

from __future__ import annotations

from typing import NamedTuple

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout

FEW_CHANNELS = 4
"""Planar images of so many are rounded as they are; of more they are nchw16c first."""


class Conversion(NamedTuple):
    """Of a change between float32 and bfloat16: `items` is nhwc_bf16's of a pixel."""

    channels: int
    pixels: int
    items: int


def narrow(x: Layout) -> BoundKernel:
    """A float32 image as nhwc_bf16, each number rounded to the nearest bfloat16."""
    if x.kind not in ("nchw16c", "planar") or len(x.shape) != 3:
        raise InvalidModelError(f"{x} cannot become nhwc_bf16: it is no float32 image")
    if x.kind == "planar" and x.shape[0] > FEW_CHANNELS:
        raise InvalidModelError(f"{x} cannot become nhwc_bf16: insert a reorder step to nchw16c")
    function = "of_blocks" if x.kind == "nchw16c" else "of_planes"
    return _bound("to_bfloat16", function, x, Layout("nhwc_bf16", x.shape), x.shape)


def widen(x: Layout) -> BoundKernel:
    """An nhwc_bf16 image as nchw16c, exactly."""
    if x.kind != "nhwc_bf16":
        raise InvalidModelError(f"{x} is not nhwc_bf16")
    return _bound("to_float32", "to_blocks", x, Layout("nchw16c", x.shape), x.shape)


def _bound(
    name: str, function: str, x: Layout, output: Layout, shape: tuple[int, ...]
) -> BoundKernel:
    channels, height, width = shape
    items = (x if x.kind == "nhwc_bf16" else output).pixel_items
    return BoundKernel(
        name=name,
        function=Kernel("bfloat16_reorder", function, (min(items, 16),)),
        parameters=Conversion(channels, height * width, items),
        input_layouts=(x,),
        output_layout=output,
    )
