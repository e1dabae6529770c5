"""What convolutions and dense layers in bfloat16 are: steps of terms by panels of filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from columnar_nn.kernels.activation import Activation
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.layout import Layout, aligned, packed
from columnar_nn.kernels.parameters import Words

DEPTH = 32
"""Most terms of a step: bfloat16 in a cache line."""

TILE_BYTES = 1024
"""Of a step's weights of 16 filters, up to DEPTH each."""

UNIT = 2.0**-8
"""Largest relative error of rounding to bfloat16."""


class TilePanel(NamedTuple):
    """The steps of a panel of filters: how many, the first one's number, its weights' offset."""

    steps: int
    first: int
    offset: int


class CopiedLines(NamedTuple):
    """Lines of an image of `height` that are copied before products read them, in `phases`.

    `tops` holds each phase's first line in the image. It has `phase_lines` lines, `stride_y` apart
    in the image, of `line_bytes`: `left_bytes` of zeros, then those of the image, then zeros.
    """

    phases: int = 0
    tops: Words = np.zeros(1, np.int64)
    phase_lines: int = 0
    stride_y: int = 1
    height: int = 0
    image_line_bytes: int = 0
    left_bytes: int = 0
    line_bytes: int = 0

    @property
    def num_bytes(self) -> int:
        """What they take."""
        return self.phases * self.phase_lines * self.line_bytes


NOTHING_COPIED = CopiedLines()


class Panels(NamedTuple):
    """Filters as steps: for each panel the steps' offsets in bytes, and its weights.

    Weights are float32 [step, depth, filters], zeros where a filter has none.
    """

    offsets: list[list[int]]
    weights: list[np.ndarray]


@dataclass(frozen=True, eq=False)
class Product:
    """What convolutions and dense layers have in common.

    `layouts` are the input's, the output's and perhaps the residual's; `places` where each pixel's
    results go in the output, or -1, pixels being `row_bytes` apart in what is read. A panel has
    `width` filters, a step `depth` terms.
    """

    name: str
    layouts: tuple[Layout, ...]
    row_bytes: int
    depth: int
    width: int
    panels: Panels
    places: np.ndarray
    bias: np.ndarray
    activation: Activation
    error_bound: float
    copied: CopiedLines = NOTHING_COPIED

    def __post_init__(self) -> None:
        assert self.activation.function is None, "applied by a kernel of its own"

    @property
    def is_float(self) -> bool:
        """Whether results are float32, of one row."""
        return self.layouts[1].kind == "planar"

    @property
    def blocks(self) -> int:
        """Blocks of 16 filters of a panel."""
        return blocks_of(self.width)

    @property
    def filters(self) -> int:
        """All of them."""
        return len(self.bias)

    @property
    def panel_bytes(self) -> int:
        """From a panel's results to the next one's."""
        return self.width * (4 if self.is_float else 2)

    @property
    def steps(self) -> int:
        """Those of all panels."""
        return sum(map(len, self.panels.weights))

    def table(self) -> np.ndarray:
        """A TilePanel of each panel."""
        rows, first = [], 0
        for weights in self.panels.weights:
            rows.append(TilePanel(len(weights), first, first * self.blocks * TILE_BYTES))
            first += len(weights)
        return np.array(rows, np.int64)

    def offsets(self) -> np.ndarray:
        """Where each step's terms begin after a pixel's first, in bytes."""
        return np.concatenate(self.panels.offsets).astype(np.int64)


def blocks_of(width: int) -> int:
    """Blocks of 16 filters of a panel of so many."""
    return max(width, LANES) // LANES


def constants_of(bias: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Bias and mask of panels of `width` filters, float32 [panel, lane]: the mask is -1 where there
    is no filter.
    """
    lanes = blocks_of(width) * LANES
    panels = -(-len(bias) // width)
    biases, mask = np.zeros((2, panels, lanes), np.float32)
    kept = np.arange(lanes) + width * np.arange(panels)[:, np.newaxis]
    used = (np.arange(lanes) < width) & (kept < len(bias))
    biases[used], mask[~used] = bias, -1.0
    return packed(biases), packed(mask)


def packed_steps(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Panels of [step, depth, lane] as kernels read them: bytes from a cache line on.

    They are [step][block of 16 filters][pair of terms][16 filters x 2].
    """
    blocks = panels[0].shape[2] // LANES
    memory = aligned(sum(map(len, panels)) * blocks * TILE_BYTES)
    tiles = memory.view(np.uint16).reshape(-1, blocks, LANES, LANES, 2)
    first = 0
    for weights in panels:
        count, depth, _ = weights.shape
        pairs = to_bfloat16(weights).reshape(count, depth // 2, 2, blocks, LANES)
        tiles[first : first + count, :, : depth // 2] = pairs.transpose(0, 3, 1, 4, 2)
        first += count
    return memory


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 rounded to the nearest bfloat16, to the even one of two, as uint16; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    quiet = (bits >> 16) | 0x40
    result: np.ndarray = np.where(np.isnan(values), quiet, rounded).astype(np.uint16)
    return result
