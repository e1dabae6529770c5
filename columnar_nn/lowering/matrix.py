"""Gemm and MatMul."""

from __future__ import annotations

import numpy as np

from columnar_nn.expressions.expression import Expression, Weight
from columnar_nn.lowering.elementwise import broadcast
from columnar_nn.lowering.registry import Gap, call, lowers
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shapes import output_shapes


@lowers("Gemm")
def _gemm(operands: Operands, inputs: list[Expression]) -> Expression:
    matrix = operands.constants[1]
    if operands.constants[0] is not None or matrix is None:
        raise Gap("each row of its result depends on all rows of its second input")
    if operands.attribute("transA"):
        raise Gap("transA would mix rows")
    rows = matrix if operands.attribute("transB") else matrix.T
    scaled = np.ascontiguousarray(_scaled(rows, operands.attribute("alpha")))
    result = call(operands, "mat_mul", inputs[:1], {"weight": scaled})
    beta = operands.attribute("beta")
    if not operands.present(2) or beta == 0:
        return result
    offset = operands.constants[2]
    if offset is None:
        addend = broadcast(operands, 2, inputs[1])
        if beta != 1.0:
            addend = call(operands, "vec_scal_mul", [addend], {"beta": _scaled(np.ones(1), beta)})
        return call(operands, "vec_add", [result, addend])
    if offset.size not in (1, len(rows)) or offset.shape[-1:] not in ((), (1,), (len(rows),)):
        raise Gap(f"C of shape {offset.shape} differs from row to row")
    return call(operands, "mat_add", [result], {"bias": _scaled(offset.reshape(-1), beta)})


def _scaled(array: np.ndarray, factor: float) -> np.ndarray:
    return array if factor == 1.0 else np.asarray(array * np.float32(factor), np.float32)


@lowers("MatMul")
def _mat_mul(operands: Operands, inputs: list[Expression]) -> Expression:
    left, right = operands.shape(0), operands.shape(1)
    constants = operands.constants[:2]
    if constants[0] is None and constants[1] is not None and len(left) == len(right) == 2:
        return call(operands, "mat_mul", inputs, {"weight": np.ascontiguousarray(constants[1].T)})
    computed = [s for s, array in zip((left, right), constants, strict=True) if array is None]
    (result,) = output_shapes(operands)
    if len(result) < 2:
        if constants[1] is None or len(left) != 2:
            raise Gap(f"{left} times {right} would mix rows")
        product = call(operands, "mat_mul", inputs, {"weight": constants[1].reshape(1, -1)})
        return call(operands, "reshape", [product], shape=[])
    ranks = set(map(len, computed))
    if len(ranks) != 1 or min(ranks) < 3 or any(shape[0] != result[0] for shape in computed):
        raise Gap(f"{left} times {right} would mix rows")
    (rank,) = ranks
    tensors = iter(inputs)
    factors = [
        next(tensors) if array is None else _row_matrices(operands, index, rank)
        for index, array in enumerate(constants)
    ]
    product = call(operands, "matrix_product", factors)
    if len(result) == rank:
        return product
    return call(operands, "reshape", [product], shape=list(result[1:]))


def _row_matrices(operands: Operands, index: int, rank: int) -> Weight:
    """A constant factor as the matrices that each row, of a tensor of `rank`, is multiplied by."""
    array = operands.constants[index]
    assert array is not None
    if array.ndim == 1:
        array = array[np.newaxis] if index == 0 else array[:, np.newaxis]
    batch = array.shape[: max(0, array.ndim - rank + 1)]
    if set(batch) - {1}:
        raise Gap(f"a constant of shape {array.shape} differs from row to row")
    matrices = np.ascontiguousarray(array.reshape(array.shape[len(batch) :]))
    return Weight(f"{operands.node.name}.matrix", matrices)
