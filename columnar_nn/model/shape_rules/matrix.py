"""Shapes of matrix products."""

from __future__ import annotations

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Shape
from columnar_nn.model.shape_rules.elementwise import broadcast_shape
from columnar_nn.model.shape_rules.operands import FIXED_BATCH, Operands


def gemm(operands: Operands) -> tuple[Shape, ...]:
    """Gemm: A' [M, K], B' [K, N] after the optional transposes, C broadcast to [M, N]."""
    a, b = operands.shape(0), operands.shape(1)
    if len(a) != 2 or len(b) != 2:
        raise InvalidModelError(f"inputs {a} and {b} must be matrices; put a Flatten before")
    if operands.attribute("transA"):
        a = a[::-1]
    if operands.attribute("transB"):
        b = b[::-1]
    if a[1] is None and b[0] is None:
        raise InvalidModelError(f"{a} times {b} sums over the images of a batch; {FIXED_BATCH}")
    if a[1] != b[0]:
        raise InvalidModelError(f"{a} times {b}: the inner dimensions differ")
    result = (a[0], b[1])
    if operands.present(2) and broadcast_shape([result, operands.shape(2)]) != result:
        raise InvalidModelError(f"C {operands.shape(2)} does not broadcast to {result}")
    return (result,)


def mat_mul(operands: Operands) -> tuple[Shape, ...]:
    """MatMul: numpy.matmul, with a vector on either side and broadcast leading dimensions."""
    a, b = operands.shape(0), operands.shape(1)
    if not a or not b:
        raise InvalidModelError("a scalar cannot be multiplied as a matrix")
    rows = a if len(a) > 1 else (1, *a)
    columns = b if len(b) > 1 else (*b, 1)
    if rows[-1] is None and columns[-2] is None:
        raise InvalidModelError(f"{a} times {b} sums over the images of a batch; {FIXED_BATCH}")
    if rows[-1] != columns[-2]:
        raise InvalidModelError(f"{a} times {b}: the inner dimensions differ")
    leading = broadcast_shape([rows[:-2], columns[:-2]])
    return (leading + rows[-2:-1] * (len(a) > 1) + columns[-1:] * (len(b) > 1),)
