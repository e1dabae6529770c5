"""Products of a row's matrices with a constant one in bfloat16, by vectors of pairs.

Factors are rounded, sums and results stay in float32, as all between such layers does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import host
from columnar_nn.kernels.activation import NO_ACTIVATION, Activation
from columnar_nn.kernels.bfloat16_product import DEPTH, UNIT, packed_steps
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, packed
from columnar_nn.kernels.parameters import BLOCK_BYTES, Blocks, Bytes, Code, Floats, Words

PANEL = 32
"""Columns of the result that are computed at once."""

TILES = 8
"""Tiles of rows that are rounded at once, and multiplied with all panels."""


class NarrowProducts(NamedTuple):
    """Of rows of `inner` float32 by a matrix of `columns`, at least PANEL.

    A rounded row takes `row_bytes`. The matrix is [panel][step] as `packed_steps` has them, of
    `steps` a panel, whose terms begin at `offsets`; the last panel overlaps the one before. Results
    begin with the `bias` of [panel][PANEL], are clamped to `low` and `high`, and changed by an
    `epilogue` if there is one.
    """

    rows: int
    inner: int
    columns: int
    panels: int
    row_bytes: int
    steps: int
    offsets: Words
    matrix: Bytes
    bias: Floats
    low: float
    high: float
    epilogue: Code | None
    epilogue_constants: Blocks | None
    ragged_mask: Blocks | None


def takes(matrix: np.ndarray) -> bool:
    """Whether it can be the right factor: one matrix of a panel or more, of some inner length."""
    return matrix.ndim == 2 and matrix.shape[1] >= PANEL and matrix.shape[0] >= DEPTH // 2


def matrix_product_bfloat16(
    left: Layout,
    matrix: np.ndarray,
    bias: np.ndarray | None = None,
    activation: Activation = NO_ACTIVATION,
    residual: bool = False,
) -> BoundKernel:
    """As `matrix_product` with a constant right factor that this `takes`."""
    if left.kind != "planar" or not takes(matrix) or left.shape[-1] != len(matrix):
        raise InvalidModelError(f"cannot multiply {left} and {matrix.shape} in bfloat16")
    inner, columns = matrix.shape
    steps = -(-inner // DEPTH)
    starts = [min(start, columns - PANEL) for start in range(0, columns, PANEL)]
    padded = np.zeros((steps * DEPTH, columns), np.float32)
    padded[:inner] = matrix
    offset = np.zeros(columns, np.float32) if bias is None else bias
    # An odd number of cache lines, so that rows do not share cache sets.
    row_bytes = (2 * DEPTH * steps // BLOCK_BYTES | 1) * BLOCK_BYTES
    output = Layout("planar", (*left.shape[:-1], columns))
    rows = math.prod(left.shape[:-1])
    return BoundKernel(
        name="matrix_product_bfloat16",
        function=Kernel("bfloat16_matrix", "product", ()),
        parameters=NarrowProducts(
            rows=rows,
            inner=inner,
            columns=columns,
            panels=len(starts),
            row_bytes=row_bytes,
            steps=steps,
            offsets=np.arange(steps, dtype=np.int64) * 2 * DEPTH,
            matrix=packed_steps(
                [padded[:, start : start + PANEL].reshape(steps, DEPTH, PANEL) for start in starts]
            ),
            bias=packed(np.stack([offset[start : start + PANEL] for start in starts])),
            low=activation.low,
            high=activation.high,
            epilogue=activation.epilogue,
            epilogue_constants=activation.epilogue_constants,
            ragged_mask=None,
        ),
        input_layouts=(left, output) if residual else (left,),
        output_layout=output,
        scratch_floats=(TILES * host.tile_pixels() * row_bytes + 2 * PANEL * 4) // 4,
        multiply_adds=rows * steps * DEPTH * len(starts) * PANEL,
        error_bound=float(np.abs(matrix).sum(axis=0, dtype=np.float64).max() * 2 * UNIT),
    )
