"""Products of the matrices that a row holds (ONNX MatMul), with a constant or with each other.

With a constant right factor it is a layer of each row of the left one: bias, residual, activation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.activation import NO_ACTIVATION, Activation
from columnar_nn.kernels.host import LANES, tile_blocks, tile_rows
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, lane_mask, packed
from columnar_nn.kernels.parameters import Blocks, Code, Floats, Words


class Products(NamedTuple):
    """Of products of matrices, rows x inner by inner x columns, one operand perhaps a constant.

    The right operand is taken in `panels` of PANEL columns, [inner][PANEL] each, the last of which
    overlaps the one before; a constant one lies so. The offsets are of each product's matrix.

    Of a layer, results begin with the `bias` of [panels][PANEL], are clamped to `low` and `high`,
    and changed by an `epilogue` if there is one. `ragged_mask` is the lanes past the last column,
    if there are fewer than PANEL.
    """

    products: int
    rows: int
    inner: int
    columns: int
    panels: int
    left_offsets: Words
    right_offsets: Words
    constant: Floats | None
    bias: Floats | None
    low: float
    high: float
    epilogue: Code | None
    epilogue_constants: Blocks | None
    ragged_mask: Blocks | None


PANEL = LANES * tile_blocks(2)
"""Columns of the result that are computed at once."""


def panel_start(panel: int, columns: int) -> int:
    """The first column of a panel."""
    return max(min(panel * PANEL, columns - PANEL), 0)


def _panels(matrices: np.ndarray) -> np.ndarray:
    """[..., inner, columns] as [..., panel, inner, PANEL], with zeros past the last column."""
    columns = matrices.shape[-1]
    missing = max(PANEL - columns, 0)
    wide = np.pad(matrices, [(0, 0)] * (matrices.ndim - 1) + [(0, missing)])
    starts = [panel_start(panel, columns) for panel in range(-(-columns // PANEL))]
    return np.stack([wide[..., start : start + PANEL] for start in starts], axis=-3)


def matrix_product(
    left: Layout | np.ndarray,
    right: Layout | np.ndarray,
    bias: np.ndarray | None = None,
    activation: Activation = NO_ACTIVATION,
    residual: bool = False,
) -> BoundKernel:
    """numpy.matmul of [..., M, K] and [..., K, N], planar; leading dimensions broadcast.

    One operand may be a constant array. Products of float32 are summed in order, in float32.
    If the right one is, the result is activation(bias + product + residual): `bias` is [N], and
    with `residual` a second input of the output's layout is added.
    """
    operands = (left, right)
    tensors = tuple(operand for operand in operands if isinstance(operand, Layout))
    first, second = left.shape, right.shape
    problem = f"cannot multiply matrices {first} and {second} of {', '.join(map(str, tensors))}"
    if not tensors or any(tensor.kind != "planar" for tensor in tensors):
        raise InvalidModelError(problem)
    if min(len(first), len(second)) < 2 or first[-1] != second[-2]:
        raise InvalidModelError(problem)
    try:
        leading = np.broadcast_shapes(first[:-2], second[:-2])
    except ValueError:
        raise InvalidModelError(problem) from None
    rows, inner, columns = first[-2], first[-1], second[-1]
    panels = -(-columns // PANEL)
    constants = [
        packed(_panels(operand) if operand is right else operand)
        for operand in operands
        if isinstance(operand, np.ndarray)
    ]
    of_panels = isinstance(right, np.ndarray)
    offsets = [
        _offsets(first, leading, rows * inner),
        _offsets(second, leading, inner * (panels * PANEL if of_panels else columns)),
    ]
    role = "neither" if not constants else "left" if isinstance(left, np.ndarray) else "right"
    output = Layout("planar", (*leading, rows, columns))
    offset = np.zeros(columns, np.float32) if bias is None else bias
    return BoundKernel(
        name="matrix_product",
        function=Kernel("matrix", "product", (role,)),
        parameters=Products(
            products=math.prod(leading),
            rows=rows,
            inner=inner,
            columns=columns,
            panels=panels,
            left_offsets=offsets[0],
            right_offsets=offsets[1],
            constant=constants[0] if constants else None,
            bias=packed(_panels(offset[np.newaxis])) if of_panels else None,
            low=activation.low,
            high=activation.high,
            epilogue=activation.epilogue,
            epilogue_constants=activation.epilogue_constants,
            ragged_mask=lane_mask(Layout("planar", (columns,))) if columns < PANEL else None,
        ),
        input_layouts=(*tensors, output) if residual else tensors,
        output_layout=output,
        scratch_floats=(inner + 2 * tile_rows()) * PANEL,
        multiply_adds=math.prod(leading) * rows * inner * columns,
    )


def _offsets(shape: tuple[int, ...], leading: tuple[int, ...], size: int) -> np.ndarray:
    """Offset of the matrix of `size` floats that each product reads, int64."""
    matrices = np.arange(math.prod(shape[:-2])).reshape(shape[:-2])
    numbers = np.broadcast_to(matrices, leading).reshape(-1)
    return np.ascontiguousarray(numbers * size, np.int64)
