"""Winograd convolution bound to its weights: 3x3 filters, stride 1, no dilation, no groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.kernels import host
from columnar_nn.kernels.accuracy import largest_pixel
from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, lane_mask, packed
from columnar_nn.kernels.parameters import BLOCK_BYTES, Blocks, Code
from columnar_nn.kernels.regions import GROUPS
from columnar_nn.kernels.toom_cook import TAPS, transform

TILES_BYTES = 384 * 1024
"""Most bytes of a block's transformed input and of its products with a panel of filters.

Between 96 and 600 kB the time of plain9's layers changes by less than 4 %.
"""


class Winograd(NamedTuple):
    """Of a Winograd convolution: of its input, its output, and the tiles that are transformed.

    Filters are [panel][position][channel][16 * panel_blocks]. At most `block_tiles` tiles are
    transformed at once. Outputs are clamped to `low` and `high`, and changed by an `epilogue` if
    there is one. `ragged_mask` is the last block's lanes past the last filter, if there are any.
    Larger pixels than `most` might overflow.
    """

    in_blocks: int
    height: int
    width: int
    filter_blocks: int
    out_height: int
    out_width: int
    top: int
    left: int
    tiles_down: int
    tiles_across: int
    panel_blocks: int
    block_tiles: int
    filters: Blocks
    bias: Blocks
    low: float
    high: float
    epilogue: Code | None
    epilogue_constants: Blocks | None
    ragged_mask: Blocks | None
    most: float


def pack_filters(weight: np.ndarray, m: int, tile_blocks: int) -> np.ndarray:
    """U = G g G^T as [panel][position][channel][16 * tile_blocks], computed in float64."""
    matrix = np.array(transform(m, float).filters)
    filters, channels, *_ = weight.shape
    lanes, in_channels = LANES * tile_blocks, -(-channels // LANES) * LANES
    panels = -(-filters // lanes)
    padded = np.zeros((panels * lanes, in_channels, TAPS**2))
    padded[:filters, :channels] = weight.reshape(filters, channels, -1)
    # in their last order before they are enlarged: the copies are of few numbers
    taps = padded.reshape(panels, lanes, in_channels, -1).transpose(0, 3, 2, 1)
    # of rows and columns at once: a product of matrices, einsum takes ten times as long
    transformed = np.kron(matrix, matrix) @ taps.reshape(panels, TAPS**2, -1)
    with np.errstate(over="ignore"):  # then `largest_pixel` admits no image
        return packed(transformed.reshape(panels, -1, in_channels, lanes))


def block_tiles(tiles: int, blocks: int, m: int) -> int:
    """Most of so many tiles transformed at once: as many register tiles as TILES_BYTES hold.

    `blocks` are those of 16 channels of the input and of 16 filters of a panel.
    """
    most = host.tile_pixels()
    group_bytes = (m + 2) ** 2 * blocks * most * BLOCK_BYTES
    return min(tiles, max(1, TILES_BYTES // group_bytes) * most)


def multiplications() -> dict[int, Kernel]:
    """The kernels that multiply with a panel, by its number of 16-filter blocks."""
    numbers = sorted({host.tile_blocks(1), host.tile_blocks(2)})
    arguments = (
        *("positions", "rows", "in_blocks", "left", "left_step", "right"),
        *("target", "target_step", "block_step"),
    )
    return {n: Kernel("winograd", "multiply", (n,), arguments) for n in numbers}


def bind(convolution: Convolution, m: int) -> BoundKernel:
    """The convolution as F(m x m, 3 x 3): (m + 2)^2 / (9 m^2) of the operator's products."""
    source, target = convolution.input, convolution.output
    filters, out_height, out_width = target.shape
    down, across = -(-out_height // m), -(-out_width // m)
    tile_blocks = host.tile_blocks(target.blocks)
    blocks = source.blocks + tile_blocks
    count = block_tiles(GROUPS[-1] * down * across, blocks, m)
    weights = pack_filters(convolution.weight, m, tile_blocks)
    bias = np.zeros(target.blocks * LANES, np.float32)
    bias[:filters] = convolution.bias
    activation = convolution.activation
    calls = tuple(multiplications().values())
    return BoundKernel(
        name=f"conv2d_winograd_f{m}x{m}_3x3",
        function=Kernel("winograd", "convolve", (m,), calls=calls),
        parameters=Winograd(
            in_blocks=source.blocks,
            height=source.shape[1],
            width=source.shape[2],
            filter_blocks=target.blocks,
            out_height=out_height,
            out_width=out_width,
            top=convolution.pads[0],
            left=convolution.pads[1],
            tiles_down=down,
            tiles_across=across,
            panel_blocks=tile_blocks,
            block_tiles=count,
            filters=weights,
            bias=packed(bias),
            low=activation.low,
            high=activation.high,
            epilogue=activation.epilogue,
            epilogue_constants=activation.epilogue_constants,
            ragged_mask=lane_mask(target) if filters % LANES else None,
            most=largest_pixel(convolution.weight, m),
        ),
        input_layouts=(source, target) if convolution.residual else (source,),
        output_layout=target,
        scratch_floats=(m + 2) ** 2 * (2 + blocks * count + 2) * LANES,
        multiply_adds=weights.size * down * across,
        at_once=True,
    )
