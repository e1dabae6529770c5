"""Winograd convolution in bfloat16: 3x3 filters, stride 1, no dilation, no groups.

As in float32 (`winograd`), but that what is multiplied, tiles and filters once transformed, is
rounded to bfloat16, and the image before and after. Products are those of vectors of pairs
(`bfloat16_vectors`), a quarter of the operator's.

What is rounded is larger than the outputs that come of it. Of independent normal pixels and filters
an error is so 3 `accuracy.growth`, 4.8 times direct convolution's in bfloat16. In networks it is
less, since what the transforms make of neighbours that are alike is small: docs/verdict.md has what
was measured, and what other engines do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.kernels import accuracy, host
from columnar_nn.kernels.bfloat16_product import (
    DEPTH,
    UNIT,
    blocks_of,
    constants_of,
    packed_steps,
)
from columnar_nn.kernels.bfloat16_vectors import is_of_few
from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout
from columnar_nn.kernels.parameters import BLOCK_BYTES, Blocks, Bytes, Words
from columnar_nn.kernels.regions import GROUPS
from columnar_nn.kernels.toom_cook import TAPS, transform

M = 4
"""Rows and columns of a tile of outputs."""

SIDE = M + TAPS - 1
"""Rows and columns of its inputs, and of its products."""

POSITIONS = SIDE * SIDE

TILES_BYTES = 384 * 1024
"""Most bytes of a block's transformed input and of its products with a panel of filters."""

INPUT_TRANSFORM, OUTPUT_TRANSFORM = 260, 180
"""Price of a tile's 16 channels or filters, in products of a vector of pairs, one a cycle."""

WEIGHT_BYTE = 0.23
"""Price of a byte of weights that comes from beyond the second-level cache: 19 MB on a Zen 4."""

CACHED_WEIGHT_BYTES = 2**18
"""Weights of a layer that stay in it from image to image."""


class NarrowWinograd(NamedTuple):
    """Of a Winograd convolution in bfloat16: of its input, its output, and its tiles.

    A pixel has `blocks` of 16 channels, `pixel_bytes` of the input and `target_bytes` of the
    output. Filters are [panel][position][step] as `packed_steps` has them, of `steps` a position,
    whose terms begin at `offsets`. A panel's results are `panel_bytes` from the last one's. At most
    `block_tiles` are transformed at once. Pixels of greater bits than `most` might overflow.
    """

    height: int
    width: int
    top: int
    left: int
    blocks: int
    pixel_bytes: int
    out_height: int
    out_width: int
    target_bytes: int
    tiles_down: int
    tiles_across: int
    block_tiles: int
    panels: int
    panel_bytes: int
    steps: int
    offsets: Words
    filters: Bytes
    bias: Blocks
    mask: Blocks
    low: float
    high: float
    most: int


def pays(convolution: Convolution) -> bool:
    """Whether it applies, and is predicted to take less time than direct convolution."""
    x = convolution.input
    applies = (
        convolution.weight.shape[2:] == (TAPS, TAPS)
        and convolution.strides == (1, 1)
        and convolution.dilations == (1, 1)
        and convolution.groups == 1
        and x.pixel_items >= LANES
    )
    filters, height, width = convolution.output.shape
    if not applies or is_of_few(filters, min(DEPTH, x.pixel_items)):
        return False
    blocks = -(-filters // LANES)
    products = x.pixel_items // 2 * blocks
    tiles = -(-height // M) * -(-width // M)
    transforms = INPUT_TRANSFORM * x.blocks + OUTPUT_TRANSFORM * blocks
    direct = TAPS * TAPS * products * height * width + _traffic(TAPS * TAPS * products)
    return tiles * (POSITIONS * products + transforms) + _traffic(POSITIONS * products) < direct


def _traffic(products: int) -> float:
    """Price of the weights of so many products of a vector of pairs, read for every image.

    Groups of images read them once: of 8 images resnet50's last stage takes as long either way.
    """
    return WEIGHT_BYTE * max(0, BLOCK_BYTES * products - CACHED_WEIGHT_BYTES)


def bind(convolution: Convolution) -> BoundKernel:
    """The convolution as F(4x4, 3x3)."""
    x, weight, activation = convolution.input, convolution.weight, convolution.activation
    assert activation.function is None, "applied by a kernel of its own"
    output = Layout("nhwc_bf16", convolution.output.shape)
    filters, out_height, out_width = output.shape
    width, depth = min(DEPTH, output.pixel_items), min(DEPTH, x.pixel_items)
    down, across = -(-out_height // M), -(-out_width // M)
    pixel_bytes, row_bytes = 2 * x.pixel_items, blocks_of(width) * BLOCK_BYTES
    most = host.tile_pixels()
    group_bytes = POSITIONS * most * (pixel_bytes + row_bytes)
    tiles = min(GROUPS[-1] * down * across, max(1, TILES_BYTES // group_bytes) * most)
    panels = _panels(weight, x.pixel_items, depth, width)
    bias, mask = constants_of(convolution.bias, width)
    offsets = np.arange(0, pixel_bytes, 2 * depth, dtype=np.int64)
    # A tile's window, and of each position a cache line or two more.
    scratch = POSITIONS * (pixel_bytes + tiles * (pixel_bytes + row_bytes) + 4 * BLOCK_BYTES)
    products = POSITIONS * x.pixel_items * len(panels) * blocks_of(width) * LANES
    return BoundKernel(
        name=f"conv2d_bfloat16_winograd_f{M}x{M}_3x3",
        function=Kernel(
            "bfloat16_winograd",
            "convolve",
            (depth // 2, width, int(convolution.residual), int(filters % width > 0)),
        ),
        parameters=NarrowWinograd(
            height=x.shape[1],
            width=x.shape[2],
            top=convolution.pads[0],
            left=convolution.pads[1],
            blocks=x.pixel_items // LANES,
            pixel_bytes=pixel_bytes,
            out_height=out_height,
            out_width=out_width,
            target_bytes=2 * output.pixel_items,
            tiles_down=down,
            tiles_across=across,
            block_tiles=tiles,
            panels=len(panels),
            panel_bytes=2 * width,
            steps=len(offsets),
            offsets=offsets,
            filters=packed_steps(panels),
            bias=bias,
            mask=mask,
            low=activation.low,
            high=activation.high,
            most=_largest_bits(weight),
        ),
        input_layouts=(x, output) if convolution.residual else (x,),
        output_layout=output,
        scratch_floats=scratch // 4,
        multiply_adds=products * down * across,
        error_bound=accuracy.bound_of_factors(weight, M, UNIT),
        at_once=True,
    )


def _panels(weight: np.ndarray, items: int, depth: int, width: int) -> list[np.ndarray]:
    """G g G^T as panels of [position and channels, term, lane]."""
    matrix = np.array(transform(M, float).filters, np.float64)
    transformed = np.einsum("ia,fcab,jb->ijcf", matrix, weight.astype(np.float64), matrix)
    filters, channels = weight.shape[:2]
    lanes = blocks_of(width) * LANES
    panels = []
    for first in range(0, filters, width):
        own = transformed[..., first : first + width].reshape(POSITIONS, channels, -1)
        padded = np.zeros((POSITIONS, items, lanes), np.float32)
        with np.errstate(over="ignore"):  # then `_largest_bits` admits no image
            padded[:, :channels, : own.shape[-1]] = own
        panels.append(padded.reshape(-1, depth, lanes))
    return panels


def _largest_bits(weight: np.ndarray) -> int:
    """Bits, as bfloat16, of the largest pixel with which nothing overflows; -1 if any does."""
    largest = (1 - 8 * UNIT) * accuracy.largest_pixel(weight, M)  # room for rounding
    return int(np.float32(largest).view(np.uint32) >> 16) if largest > 1 else -1
