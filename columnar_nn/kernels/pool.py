"""Max, average and global average pooling of nchw16c images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, address, lane_mask


def _output_size(
    size: int, window: int, stride: int, before: int, after: int, dilation: int, ceil_mode: bool
) -> int:
    """ONNX's output extent; a last window that would start in the padding after is dropped."""
    span = size + before + after - (window - 1) * dilation - 1
    if not ceil_mode:
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= size + before else count


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
    if x.kind != "nchw16c":
        raise InvalidModelError(f"pooling needs nchw16c, not {x}: insert a reorder step")
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
    masks = (lane_mask(x),) if channels % LANES else ()
    parameters = [
        x.blocks,
        height,
        width,
        out_height,
        out_width,
        *window,
        *strides,
        top,
        left,
        *dilations,
        int(padding_counts),
        height + bottom,
        width + right,
        address(masks[0]) if masks else 0,
    ]
    return BoundKernel(
        name=f"{kind}_pool",
        function=Kernel("pool", "pool", (kind,)),
        parameters=np.array(parameters, np.int64),
        input_layouts=(x,),
        output_layout=Layout("nchw16c", (channels, out_height, out_width)),
        keep_alive=masks,
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
    """ONNX GlobalAveragePool: the mean of each channel, an image of 1 x 1 in nchw16c."""
    if x.kind != "nchw16c":
        raise InvalidModelError(f"pooling needs nchw16c, not {x}: insert a reorder step")
    return BoundKernel(
        name="global_average_pool",
        function=Kernel("pool", "global_average"),
        parameters=np.array([x.blocks, x.shape[1] * x.shape[2]], np.int64),
        input_layouts=(x,),
        output_layout=Layout("nchw16c", (x.shape[0], 1, 1)),
    )
