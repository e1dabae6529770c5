"""Gemm and MatMul."""

from __future__ import annotations

import numpy as np

from columnar_nn.expression_rules.rule import Gap, Rule, call, need_one_tensor, need_rank
from columnar_nn.expressions import Expression
from columnar_nn.shape_rules.operands import Operands


def _gemm(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    if operands.attribute("transA", 0):
        raise Gap("transA would mix rows")
    matrix = operands.constant(1, "the matrix")
    assert matrix is not None
    rows = matrix if operands.attribute("transB", 0) else matrix.T
    alpha, beta = operands.attribute("alpha", 1.0), operands.attribute("beta", 1.0)
    scaled = np.ascontiguousarray(rows if alpha == 1.0 else rows * np.float32(alpha))
    result = call(operands, "mat_mul", inputs, {"weight": scaled})
    offset = operands.constant(2, "C")
    if offset is None:
        return result
    if offset.size not in (1, len(rows)) or offset.shape[-1:] not in ((), (1,), (len(rows),)):
        raise Gap(f"C of shape {offset.shape} differs from row to row")
    offset = offset.reshape(-1) if beta == 1.0 else offset.reshape(-1) * np.float32(beta)
    return call(operands, "mat_add", [result], {"bias": offset})


def _mat_mul(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    need_rank(operands, (2,), "an input")
    matrix = operands.constant(1, "the matrix")
    if matrix is None or matrix.ndim != 2:
        raise Gap("the second input must be a constant matrix")
    return call(operands, "mat_mul", inputs, {"weight": np.ascontiguousarray(matrix.T)})


RULES: dict[str, Rule] = {"Gemm": _gemm, "MatMul": _mat_mul}
