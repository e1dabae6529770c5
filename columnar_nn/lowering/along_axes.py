"""Operators that combine the elements along axes: reductions, softmax, norms, LRN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.expressions.expression import Expression
from columnar_nn.functions.vector_function import function_name
from columnar_nn.lowering.registry import Gap, Lowering, call, lowers, need_one_tensor
from columnar_nn.model.operators import REDUCTIONS
from columnar_nn.model.shape_rules.operands import Operands, normalized_axes, normalized_axis


@lowers(*REDUCTIONS)
def _reduce(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    function, rank = function_name(operands.node.op_type), len(operands.shape(0))
    axes = operands.integer_input(1, "axes")
    if not axes and operands.attribute("noop_with_empty_axes"):
        return _of_single_elements(function, operands, inputs)
    reduced = sorted(normalized_axes(axes or range(rank), rank))
    keepdims = operands.attribute("keepdims")
    if 0 in reduced:
        if operands.shape(0)[0] != 1 or not keepdims:
            raise Gap("a reduction over the rows")
        reduced.remove(0)
        if not reduced:
            return _of_single_elements(function, operands, inputs)
    if function == "reduce_mean" and rank == 4 and reduced == [2, 3]:
        pooled = call(operands, "global_avg_pool", inputs)
        return pooled if keepdims else call(operands, "flatten", [pooled])
    if len(reduced) == rank - 1 and not keepdims:
        kept = call(operands, function, inputs, axes=reduced, keepdims=1)
        return call(operands, "reshape", [kept], shape=[])
    return call(operands, function, inputs, axes=reduced, keepdims=keepdims)


def _of_single_elements(function: str, operands: Operands, inputs: list[Expression]) -> Expression:
    """A reduction over no axes."""
    if function in ("reduce_l1", "reduce_l2"):
        return call(operands, "abs", inputs)
    if function == "reduce_sum_square":
        return call(operands, "vec_mul", inputs * 2)
    return inputs[0]


@lowers("ArgMax", "ArgMin")
def _arg(operands: Operands, inputs: list[Expression]) -> Expression:
    function, (batch, *row) = operands.node.op_type.lower(), operands.shape(0)
    axis = normalized_axis(operands.attribute("axis"), 1 + len(row))
    given = {name: operands.attribute(name) for name in ("keepdims", "select_last_index")}
    if axis:
        return call(operands, function, inputs, axis=axis, **given)
    if batch != 1 or not row or not given["keepdims"]:
        raise Gap("axis 0 would mix rows")
    return call(operands, function, [_alone(operands, inputs, row)], axis=-1)


def _alone(operands: Operands, inputs: list[Expression], row: Sequence[int | None]) -> Expression:
    """Each element along an axis of its own, as it is along a batch of one."""
    return call(operands, "reshape", inputs, shape=[*row, 1])


_SMALLEST_NORM = float(np.finfo(np.float32).tiny)
"""In whose place a smaller one, zero too, divides: 0 over 0 is 0."""


@lowers("LpNormalization")
def _lp_normalization(operands: Operands, inputs: list[Expression]) -> Expression:
    shape, order = operands.shape(0), operands.attribute("p")
    axis = normalized_axis(operands.attribute("axis"), len(shape))
    if order not in (1, 2):
        raise Gap(f"a norm of order {order}")
    if axis == 0 and shape[0] != 1:
        raise Gap("axis 0 would mix rows")
    if axis == 0:
        norm = call(operands, "abs", inputs)
    else:
        norm = call(operands, f"reduce_l{order}", inputs, axes=[axis], keepdims=1)
    divisor = call(operands, "clip", [norm], min=_SMALLEST_NORM)
    if shape[axis] != 1:
        divisor = call(operands, "expand", [divisor], shape=list(shape[1:]))
    return call(operands, "vec_div", [*inputs, divisor])


def _softmax(function: str) -> Lowering:
    def lowering(operands: Operands, inputs: list[Expression]) -> Expression:
        batch, *row = operands.shape(0)
        rank = 1 + len(row)
        axis = normalized_axis(operands.attribute("axis"), rank)
        if axis == 0 and batch == 1:  # each element is the only one of its axis
            result = call(operands, function, [_alone(operands, inputs, row)], axis=-1)
            return call(operands, "reshape", [result], shape=row)
        if axis == 0:
            raise Gap("axis 0 would mix rows")
        return call(operands, function, inputs, axis=-1 if axis == rank - 1 else axis)

    return lowering


@lowers("LRN")
def _lrn(operands: Operands, inputs: list[Expression]) -> Expression:
    attributes = {name: operands.attribute(name) for name in ("size", "alpha", "beta", "bias")}
    return call(operands, "lrn", inputs, **attributes)


lowers("Softmax")(_softmax("softmax"))
lowers("LogSoftmax")(_softmax("log_softmax"))
lowers("Hardmax")(_softmax("hardmax"))
