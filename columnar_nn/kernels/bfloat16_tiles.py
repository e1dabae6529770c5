"""A product in bfloat16 by tiles (`jitted.tiles`): groups of tiles of pixels by tiles of filters.

A tile's row is a step's terms of a pixel, and 16 rows are 16 pixels in a row of outputs, or across
the end of one into the next: what is computed for the pixels between two rows of outputs is
dropped. A panel of 32 filters goes over all pixels before the next, two tiles of pixels by two of
filters at a time; of up to 16 filters, four by one. Only the tiles of pixels are multiplied that
there are, and only the results stored that are kept.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from columnar_nn.kernels.bfloat16_product import (
    TILE_BYTES,
    CopiedLines,
    Product,
    constants_of,
    packed_steps,
)
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, aligned
from columnar_nn.kernels.parameters import BLOCK_BYTES, Blocks, Bytes, Words

GROUP_BYTES = 4 * TILE_BYTES
"""Of scratch memory: what the sums of a group of pixels take."""


class TileProduct(NamedTuple):
    """Of a convolution or dense layer.

    `table` holds a TilePanel for each panel, `offsets` where each step's terms begin after a
    pixel's first, in bytes. Groups are of several tiles of pixels, the last perhaps of fewer:
    `tiles` of all groups, of which `starts` holds where each one's first pixel begins. Rows of a
    tile are `row_bytes` apart. Group g's results that are kept are those from `kept[g]` up to
    `kept[g + 1]`: `places` holds where each goes, times GROUP_BYTES, plus where it lies among the
    group's sums. Weights are [step][block of 16 filters][pair of terms][16 filters x 2]. A panel's
    results are `panel_bytes` from the last one's. Lanes where `mask` is negative become zero.
    `outputs` is how many float32 are written.
    """

    panels: int
    table: Words
    offsets: Words
    groups: int
    tiles: int
    starts: Words
    kept: Words
    places: Words
    row_bytes: int
    configuration: Bytes
    weights: Bytes
    bias: Blocks
    mask: Blocks
    low: float
    high: float
    panel_bytes: int
    outputs: int
    copied: CopiedLines


def configuration(rows: int, depth: int) -> np.ndarray:
    """What makes tiles 0 to 3 `rows` x 16 float32, 4 and 5 as many rows of `depth` bfloat16, and 6
    and 7 half as many rows as that of 16 pairs: 64 bytes as AMX's LDTILECFG takes them.
    """
    memory = aligned(64)
    memory[0] = 1
    memory[16:32].view(np.uint16)[:] = [64] * 4 + [2 * depth] * 2 + [64] * 2
    memory[48:56] = [rows] * 6 + [depth // 2] * 2
    return memory


def bind(product: Product, kind: Literal["amx", "emulated"]) -> BoundKernel:
    """A product by tiles of a kind."""
    x, output, *residual = product.layouts
    lanes = product.blocks * LANES
    panels = len(product.panels.weights)
    tiles_down = 4 // product.blocks
    rows, starts, numbers = _tiles(product.places)
    groups = -(-len(starts) // tiles_down)
    in_group = numbers % (tiles_down * LANES) * (product.blocks * BLOCK_BYTES)
    goals = product.places[product.places >= 0] * GROUP_BYTES + in_group
    bias, mask = constants_of(product.bias, product.width)
    results = panels * 4 * lanes if product.is_float else 0
    return BoundKernel(
        name=product.name,
        function=Kernel("bfloat16", "product", (kind, product.width, output.kind, len(residual))),
        parameters=TileProduct(
            panels=panels,
            table=product.table(),
            offsets=product.offsets(),
            groups=groups,
            tiles=len(starts),
            starts=np.pad(starts * product.row_bytes, (0, groups * tiles_down - len(starts))),
            kept=np.searchsorted(numbers, np.arange(groups + 1) * tiles_down * LANES),
            places=goals,
            row_bytes=product.row_bytes,
            configuration=configuration(rows, product.depth),
            weights=packed_steps(product.panels.weights),
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
        scratch_floats=(3 * GROUP_BYTES + results + product.copied.num_bytes) // 4,
        multiply_adds=product.steps * product.depth * lanes * rows * len(starts),
        error_bound=product.error_bound,
    )


def _tiles(places: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Rows of the least tiles that hold so many pixels, each one's first pixel, and of the places
    that are known each one's number in tiles of 16.

    No tile reads past the last pixel: it begins earlier, and what is computed twice is dropped.
    """
    count = len(places)
    rows = -(-count // -(-count // LANES))
    wanted = np.arange(0, count, rows)
    starts = np.minimum(wanted, count - rows)
    pixels = np.flatnonzero(places >= 0)
    tiles = pixels // rows
    return rows, starts, tiles * LANES + pixels - starts[tiles]
