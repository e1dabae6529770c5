"""Winograd convolution bound to its weights: 3x3 filters, stride 1, no dilation, no groups."""

from __future__ import annotations

import numpy as np

from columnar_nn.kernels import host
from columnar_nn.kernels.accuracy import largest_pixel
from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, lane_mask, packed
from columnar_nn.kernels.parameters import address
from columnar_nn.kernels.toom_cook import transform

BLOCK_BYTES = 384 * 1024
"""Most bytes of a block's transformed input and of its products with a panel of filters.

Between 96 and 600 kB the time of plain9's layers changes by less than 4 %.
"""


def pack_filters(weight: np.ndarray, m: int, tile_blocks: int) -> np.ndarray:
    """U = G g G^T as [panel][position][channel][16 * tile_blocks], computed in float64."""
    matrix = np.array(transform(m).filters, np.float64)
    filters, channels = weight.shape[:2]
    transformed = np.einsum("ia,fcab,jb->fcij", matrix, weight.astype(np.float64), matrix)
    lanes, in_blocks = LANES * tile_blocks, -(-channels // LANES)
    n = m + 2
    padded = np.zeros((-(-filters // lanes) * lanes, in_blocks * LANES, n * n), np.float32)
    with np.errstate(over="ignore"):  # then `largest_pixel` admits no image
        padded[:filters, :channels] = transformed.reshape(filters, channels, n * n)
    return packed(padded.reshape(-1, lanes, in_blocks * LANES, n * n).transpose(0, 3, 2, 1))


def block_tiles(tiles: int, blocks: int, m: int) -> int:
    """Tiles transformed at once: groups that fill a register tile, as many as BLOCK_BYTES hold.

    `blocks` are those of 16 channels of the input and of 16 filters of a panel.
    """
    most = host.tile_pixels()
    group_bytes = (m + 2) ** 2 * blocks * most * LANES * 4
    fitting = max(1, BLOCK_BYTES // group_bytes) * most
    return -(-tiles // -(-tiles // fitting))


def _odd_lines(blocks: int, tiles: int) -> int:
    """Cache lines of a position: an odd number, so that positions do not share cache sets."""
    return blocks * tiles | 1


def multiplications() -> dict[int, Kernel]:
    """The kernels that multiply with a panel, by its number of 16-filter blocks."""
    numbers = sorted({host.tile_blocks(1), host.tile_blocks(2)})
    arguments = (
        *("positions", "rows", "in_blocks", "left", "left_bytes", "right"),
        *("target", "target_bytes", "block_bytes"),
    )
    return {n: Kernel("winograd", "multiply", (n,), arguments) for n in numbers}


def bind(convolution: Convolution, m: int) -> BoundKernel:
    """The convolution as F(m x m, 3 x 3): (m + 2)^2 / (9 m^2) of the operator's products."""
    source, target = convolution.input, convolution.output
    filters, out_height, out_width = target.shape
    down, across = -(-out_height // m), -(-out_width // m)
    tile_blocks = host.tile_blocks(target.blocks)
    count = block_tiles(down * across, source.blocks + tile_blocks, m)
    position_lines = _odd_lines(source.blocks, count)
    product_lines = _odd_lines(tile_blocks, count)
    weights = pack_filters(convolution.weight, m, tile_blocks)
    bias = np.zeros(target.blocks * LANES, np.float32)
    bias[:filters] = convolution.bias
    bias = packed(bias)
    bounds = np.array(convolution.bounds, np.float32)
    mask = lane_mask(target)
    parameters = [
        source.blocks,
        *source.shape[1:],
        target.blocks,
        out_height,
        out_width,
        *convolution.pads[:2],
        down,
        across,
        tile_blocks,
        count,
        position_lines * 64,
        product_lines * 64,
        *map(address, (weights, bias, bounds)),
        address(mask) if filters % LANES else 0,
        int(np.float32(largest_pixel(convolution.weight, m)).view(np.int32)),
    ]
    positions = (m + 2) ** 2
    lines = 2 + position_lines + product_lines
    return BoundKernel(
        name=f"conv2d_winograd_f{m}x{m}_3x3",
        function=Kernel("winograd", "convolve", (m,), calls=tuple(multiplications().values())),
        parameters=np.array(parameters, np.int64),
        input_layouts=(source, target) if convolution.residual else (source,),
        output_layout=target,
        keep_alive=(weights, bias, bounds, mask),
        scratch_floats=positions * lines * LANES,
        multiply_adds=weights.size * down * across,
    )
