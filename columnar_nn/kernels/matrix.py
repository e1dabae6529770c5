"""Products of the matrices that a row holds (ONNX MatMul), with a constant or with each other."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, packed
from columnar_nn.kernels.parameters import Floats, Words


class Products(NamedTuple):
    """Of products of matrices, rows x inner by inner x columns, one operand perhaps a constant.

    The offsets are of each product's matrix.
    """

    products: int
    rows: int
    inner: int
    columns: int
    left_offsets: Words
    right_offsets: Words
    constant: Floats | None


def matrix_product(left: Layout | np.ndarray, right: Layout | np.ndarray) -> BoundKernel:
    """numpy.matmul of [..., M, K] and [..., K, N], planar; leading dimensions broadcast.

    One operand may be a constant array. Products of float32 are summed in order, in float32.
    """
    operands = (left, right)
    tensors = tuple(operand for operand in operands if isinstance(operand, Layout))
    constants = [packed(operand) for operand in operands if isinstance(operand, np.ndarray)]
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
    offsets = [_offsets(shape, leading) for shape in (first, second)]
    rows, inner, columns = first[-2], first[-1], second[-1]
    role = "neither" if not constants else "left" if isinstance(left, np.ndarray) else "right"
    return BoundKernel(
        name="matrix_product",
        function=Kernel("matrix", "product", (role,)),
        parameters=Products(
            products=math.prod(leading),
            rows=rows,
            inner=inner,
            columns=columns,
            left_offsets=offsets[0],
            right_offsets=offsets[1],
            constant=constants[0] if constants else None,
        ),
        input_layouts=tensors,
        output_layout=Layout("planar", (*leading, rows, columns)),
        multiply_adds=math.prod(leading) * rows * inner * columns,
    )


def _offsets(shape: tuple[int, ...], leading: tuple[int, ...]) -> np.ndarray:
    """Offset of the matrix [..., rows, columns] that each product reads, int64."""
    matrices = np.arange(math.prod(shape[:-2])).reshape(shape[:-2])
    numbers = np.broadcast_to(matrices, leading).reshape(-1)
    return np.ascontiguousarray(numbers * (shape[-2] * shape[-1]), np.int64)
