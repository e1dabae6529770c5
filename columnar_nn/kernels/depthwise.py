"""Depthwise convolution bound to weights: each channel of nchw16c with a filter of its own.

Nothing is copied and nothing padded: a tile of output pixels knows which of its taps lie beside the
image, and looks up which of its rows lie above or below.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.kernels import host
from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, lane_mask, packed
from columnar_nn.kernels.parameters import Blocks, Code

LARGEST_FILTER = 7
"""Height and width up to which a filter's tile is written out tap by tap."""


class Depthwise(NamedTuple):
    """Of a depthwise convolution, in tiles of rows x columns of which the last may overlap the one
    before.

    Weights are [block][tap y][tap x]. Outputs are clamped to `low` and `high`, and changed by an
    `epilogue` if there is one. `ragged_mask` is the last block's lanes past the last channel, if
    there are any that the activation makes other than zero.
    """

    blocks: int
    height: int
    width: int
    out_height: int
    out_width: int
    top: int
    tiles: int
    weights: Blocks
    bias: Blocks
    low: float
    high: float
    epilogue: Code | None
    epilogue_constants: Blocks | None
    ragged_mask: Blocks | None


class Tiling(NamedTuple):
    """Constants of a kernel's tile: its filter, its columns, and what lies beside the image.

    `left` columns of the input are missing at the first tile of a row, `right` at the last. `edges`
    are the kinds of tile that a row has: "i"nner, "l"eft, "r"ight, or the "o"nly one. With `odd` a
    tile may also have a single row.
    """

    height: int
    width: int
    stride_y: int
    stride_x: int
    columns: int
    left: int
    right: int
    edges: str
    odd: int


def tiling(convolution: Convolution) -> Tiling | None:
    """The tiles of a convolution; None if it is no depthwise one, or taps need other kinds."""
    height, width = convolution.weight.shape[2:]
    plain = convolution.is_depthwise and convolution.input.kind == "nchw16c"
    if not plain or convolution.dilations != (1, 1) or max(height, width) > LARGEST_FILTER:
        return None
    _, out_height, out_width = convolution.output.shape
    in_width, left, stride = convolution.input.shape[2], convolution.pads[1], convolution.strides[1]
    tiles = -(-out_width // host.depthwise_columns())
    columns = -(-out_width // tiles)

    def missing(first: int) -> tuple[int, int]:
        """Columns of the input that a tile lacks before the image and after it."""
        start = first * stride - left
        return max(0, -start), max(0, start + (columns - 1) * stride + width - in_width)

    starts = [min(index * columns, out_width - columns) for index in range(tiles)]
    lacks = [missing(start) for start in starts]
    right = lacks[-1][1]
    if tiles == 1:
        edges = "o"
    elif any(before for before, _ in lacks[1:]) or any(after for _, after in lacks[:-1]):
        return None
    else:
        edges = "lr" if tiles == 2 else "lir"
    return Tiling(
        int(height),
        int(width),
        *convolution.strides,
        columns,
        left,
        right,
        edges,
        out_height % host.depthwise_rows(),
    )


def bind(convolution: Convolution, tiles: Tiling) -> BoundKernel:
    """The convolution in tiles, as `tiling` gives them."""
    source, target = convolution.input, convolution.output
    channels, in_height, in_width = source.shape
    _, out_height, out_width = target.shape
    taps = tiles.height * tiles.width
    padded = np.zeros((source.blocks * LANES, taps), np.float32)
    padded[:channels] = convolution.weight.reshape(channels, taps)
    weights = packed(padded.reshape(source.blocks, LANES, taps).transpose(0, 2, 1))
    bias = np.zeros(target.blocks * LANES, np.float32)
    bias[:channels] = convolution.bias
    activation = convolution.activation
    fills_lanes = activation.function is not None or not activation.low <= 0 <= activation.high
    return BoundKernel(
        name=f"conv2d_direct_{tiles.height}x{tiles.width}",
        function=Kernel("depthwise", "depthwise", tuple(tiles)),
        parameters=Depthwise(
            blocks=source.blocks,
            height=in_height,
            width=in_width,
            out_height=out_height,
            out_width=out_width,
            top=convolution.pads[0],
            tiles=-(-out_width // tiles.columns),
            weights=weights,
            bias=packed(bias),
            low=activation.low,
            high=activation.high,
            epilogue=activation.epilogue,
            epilogue_constants=activation.epilogue_constants,
            ragged_mask=lane_mask(target) if fills_lanes and channels % LANES else None,
        ),
        input_layouts=(source, target) if convolution.residual else (source,),
        output_layout=target,
        scratch_floats=LANES,
        multiply_adds=weights.size * out_height * out_width,
    )
