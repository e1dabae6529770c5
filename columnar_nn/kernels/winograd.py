"""Winograd convolution bound to its weights: 3x3 filters, stride 1, no dilation, no groups."""

from __future__ import annotations

import numpy as np

from columnar_nn.kernels import host
from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, address, lane_mask, packed
from columnar_nn.kernels.toom_cook import transform

BLOCK_BYTES = 160 * 1024
"""Most bytes of a block's transformed input, which is read again for every 16 filters.

Between 12 and 320 kB the time of plain9's layers changes by less than 4 %.
"""


def pack_filters(weight: np.ndarray, m: int) -> np.ndarray:
    """U = G g G^T as [filter block][position][channel][16], computed in float64."""
    matrix = np.array(transform(m).filters, np.float64)
    filters, channels = weight.shape[:2]
    transformed = np.einsum("ia,fcab,jb->fcij", matrix, weight.astype(np.float64), matrix)
    blocks, in_blocks = -(-filters // LANES), -(-channels // LANES)
    n = m + 2
    padded = np.zeros((blocks * LANES, in_blocks * LANES, n * n), np.float32)
    padded[:filters, :channels] = transformed.reshape(filters, channels, n * n)
    return packed(padded.reshape(blocks, LANES, -1, n * n).transpose(0, 3, 2, 1))


def block_tiles(tiles: int, in_blocks: int, m: int) -> int:
    """Tiles transformed at once: groups that fill a register tile, as many as BLOCK_BYTES hold."""
    most = host.tile_pixels()
    group_bytes = (m + 2) ** 2 * in_blocks * most * LANES * 4
    fitting = max(1, BLOCK_BYTES // group_bytes) * most
    blocks = -(-tiles // fitting)
    return -(-tiles // blocks)


def bind(convolution: Convolution, m: int) -> BoundKernel:
    """The convolution as F(m x m, 3 x 3): (m + 2)^2 / (9 m^2) of the operator's products."""
    source, target = convolution.input, convolution.output
    filters, out_height, out_width = target.shape
    down, across = -(-out_height // m), -(-out_width // m)
    count = block_tiles(down * across, source.blocks, m)
    weights = pack_filters(convolution.weight, m)
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
        count,
        *map(address, (weights, bias, bounds)),
        address(mask) if filters % LANES else 0,
    ]
    positions = (m + 2) ** 2
    groups = -(-count // host.tile_pixels())
    lines = 2 + (1 + groups * source.blocks) * host.tile_pixels()
    return BoundKernel(
        name=f"conv2d_winograd_f{m}x{m}_3x3",
        function=Kernel("winograd", "convolve", (m,)),
        parameters=np.array(parameters, np.int64),
        input_layouts=(source, target) if convolution.residual else (source,),
        output_layout=target,
        keep_alive=(weights, bias, bounds, mask),
        scratch_floats=positions * lines * LANES,
        multiply_adds=weights.size * down * across,
    )
