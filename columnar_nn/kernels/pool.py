"""Max, average and global average pooling of nchw16c images, and of nhwc_bf16 ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, lane_mask
from columnar_nn.kernels.parameters import Blocks


class Pooling(NamedTuple):
    """Of a max or average pooling. `bottom_edge` and `right_edge` are the height and the width with
    the padding after.

    `ragged_mask` is the last block's lanes past the last channel, if there are any: a window in the
    padding alone would leave -inf or NaN there.
    """

    blocks: int
    height: int
    width: int
    out_height: int
    out_width: int
    window_height: int
    window_width: int
    stride_y: int
    stride_x: int
    top: int
    left: int
    dilation_y: int
    dilation_x: int
    padding_counts: bool
    bottom_edge: int
    right_edge: int
    ragged_mask: Blocks | None


class GlobalPooling(NamedTuple):
    """Of a global average pooling."""

    blocks: int
    pixels: int


def _output_size(
    size: int, window: int, stride: int, before: int, after: int, dilation: int, ceil_mode: bool
) -> int:
    """ONNX's output extent; a last window that would start in the padding after is dropped."""
    span = size + before + after - (window - 1) * dilation - 1
    if not ceil_mode:
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= size + before else count


def _function(x: Layout, name: str) -> Kernel:
    """The code of a pooling of images in this layout."""
    if x.kind == "nhwc_bf16":
        return Kernel("bfloat16_pool", name, (min(x.pixel_items, LANES),))
    if x.kind != "nchw16c":
        raise InvalidModelError(f"pooling needs nchw16c, not {x}: insert a reorder step")
    return Kernel("pool", name)


def _name(x: Layout, name: str) -> str:
    return f"{name}_bfloat16" if x.kind == "nhwc_bf16" else name


def _bind(
    kind: str,
    x: Layout,
    window: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    ceil_mode: bool,
    padding_counts: bool,
) -> BoundKernel:
    function = _function(x, f"{kind}_pool")
    channels, height, width = x.shape
    top, left, bottom, right = pads
    out_height, out_width = (
        _output_size(
            x.shape[1 + axis],
            window[axis],
            strides[axis],
            pads[axis],
            pads[axis + 2],
            dilations[axis],
            ceil_mode,
        )
        for axis in range(2)
    )
    if min(out_height, out_width) < 1:
        raise InvalidModelError(f"a window of {tuple(window)} is larger than {x.shape}")
    return BoundKernel(
        name=_name(x, f"{kind}_pool"),
        function=function,
        parameters=Pooling(
            blocks=x.blocks,
            height=height,
            width=width,
            out_height=out_height,
            out_width=out_width,
            window_height=window[0],
            window_width=window[1],
            stride_y=strides[0],
            stride_x=strides[1],
            top=top,
            left=left,
            dilation_y=dilations[0],
            dilation_x=dilations[1],
            padding_counts=padding_counts,
            bottom_edge=height + bottom,
            right_edge=width + right,
            ragged_mask=lane_mask(x) if channels % LANES else None,
        ),
        input_layouts=(x,),
        output_layout=Layout(x.kind, (channels, out_height, out_width)),
    )


def max_pool(
    x: Layout,
    window: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> BoundKernel:
    """ONNX MaxPool: the greatest value of each window, -inf of one in the padding alone; NaN where
    the window holds one.
    """
    return _bind("max", x, window, strides, pads, dilations, ceil_mode, False)


def average_pool(
    x: Layout,
    window: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> BoundKernel:
    """ONNX AveragePool: the mean of each window, of its pixels inside the image (NaN if there are
    none) or of all.
    """
    return _bind("average", x, window, strides, pads, dilations, ceil_mode, count_include_pad)


def global_average_pool(x: Layout) -> BoundKernel:
    """ONNX GlobalAveragePool: the mean of each channel, an image of 1 x 1 in x's layout."""
    return BoundKernel(
        name=_name(x, "global_average_pool"),
        function=_function(x, "global_average_pool"),
        parameters=GlobalPooling(x.blocks, x.shape[1] * x.shape[2]),
        input_layouts=(x,),
        output_layout=Layout(x.kind, (x.shape[0], 1, 1)),
    )
