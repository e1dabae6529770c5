"""A product in bfloat16 by the processor's own vectors of pairs (AVX512_BF16's VDPBF16PS).

The sums of a few pixels by 32 filters stay in registers over all of a panel's steps, and go from
there to their places. A panel goes over all pixels before the next, so that its weights stay in the
first-level cache. Pixels of a tile lie in one row of outputs: none is computed in vain.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.kernels import host
from columnar_nn.kernels.bfloat16_product import (
    DEPTH,
    CopiedLines,
    Product,
    constants_of,
    packed_steps,
    to_bfloat16,
)
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, aligned
from columnar_nn.kernels.parameters import Blocks, Bytes, Words

FEW_FILTERS = 4
"""Of so few, whose results would be a few of 16 lanes, each is multiplied alone: `is_of_few`."""


class VectorTile(NamedTuple):
    """How many pixels, where the first one's terms begin, and where its results go, in bytes."""

    pixels: int
    source: int
    target: int


class VectorProduct(NamedTuple):
    """Of a convolution or dense layer.

    `panels` are in `table` as TilePanel, `tiles` in `places` as VectorTile; `offsets` is where each
    step's terms begin after a pixel's first. From pixel to pixel it is `row_bytes` in what is read,
    and `target_bytes` in what is written. Weights are [step][block of 16 filters][pair of terms][16
    filters x 2], or of few filters [step][filter][terms]. A panel's results are `panel_bytes` from
    the last one's. Lanes where `mask` is negative become zero. `outputs` is how many float32 are
    written.
    """

    panels: int
    table: Words
    offsets: Words
    tiles: int
    places: Words
    row_bytes: int
    target_bytes: int
    weights: Bytes
    bias: Blocks
    mask: Blocks
    low: float
    high: float
    panel_bytes: int
    outputs: int
    copied: CopiedLines


def is_of_few(filters: int, depth: int) -> bool:
    """Whether a vector is a pixel's terms, and not 16 filters' of a pair: each has one sum of them
    then, whose lanes are added up in the end.
    """
    return filters <= FEW_FILTERS and depth == DEPTH


def is_half(filters: int, width: int) -> bool:
    """Whether the last panel's second block of 16 filters has none, and need not be computed."""
    return width > LANES and 0 < filters % width <= LANES


def bind(product: Product) -> BoundKernel:
    """A product by vectors of pairs."""
    x, output, *residual = product.layouts
    lanes = product.blocks * LANES
    panels = len(product.panels.weights)
    tiles = _tiles(product.places, product.row_bytes)
    pixels = sum(tile.pixels for tile in tiles)
    bias, mask = constants_of(product.bias, product.width)
    few = product.filters if is_of_few(product.filters, product.depth) else 0
    ragged = int(product.filters % product.width > 0)
    # One row is soon multiplied.
    is_row = product.is_float or not (
        len(product.places) > 1 or residual or few or product.copied.phases
    )
    if is_row:
        few, constants = 0, (product.depth // 2, product.width, output.kind, ragged)
        function = Kernel("bfloat16_vectors", "rows", constants)
        scratch = host.tile_pixels() * lanes
        half = 0
    else:
        half = int(is_half(product.filters, product.width))
        others = (product.depth // 2, product.width, len(residual), ragged, few, half)
        function = Kernel("bfloat16_vectors", "product", others)
        scratch = product.copied.num_bytes // 4
    weights = product.panels.weights
    products = product.steps * (few or lanes) - half * len(weights[-1]) * LANES
    return BoundKernel(
        name=product.name,
        function=function,
        parameters=VectorProduct(
            panels=panels,
            table=product.table(),
            offsets=product.offsets(),
            tiles=len(tiles),
            places=np.array(tiles, np.int64),
            row_bytes=product.row_bytes,
            target_bytes=0 if product.is_float else 2 * output.pixel_items,
            weights=_packed_terms(weights[0][..., :few]) if few else packed_steps(weights),
            bias=bias,
            mask=mask,
            low=product.activation.low,
            high=product.activation.high,
            panel_bytes=product.panel_bytes,
            outputs=product.filters if product.is_float else 0,
            copied=product.copied,
        ),
        input_layouts=(x, *residual),
        output_layout=output,
        scratch_floats=scratch,
        multiply_adds=products * product.depth * pixels,
        error_bound=product.error_bound,
        at_once=is_row,
    )


def _packed_terms(weights: np.ndarray) -> np.ndarray:
    """[step, term, filter] as [step, filter, term] in bfloat16: bytes from a cache line on."""
    terms = to_bfloat16(weights.transpose(0, 2, 1))
    memory = aligned(terms.nbytes)
    memory.view(np.uint16).reshape(terms.shape)[:] = terms
    return memory


def _tiles(places: np.ndarray, row_bytes: int) -> list[VectorTile]:
    """Pixels whose results go somewhere, in runs without a gap, each in equal tiles."""
    known = np.flatnonzero(places >= 0)
    runs = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    return [
        VectorTile(len(pixels), int(pixels[0]) * row_bytes, int(places[pixels[0]]))
        for run in runs
        for pixels in np.array_split(run, -(-len(run) // host.tile_pixels()))
    ]
