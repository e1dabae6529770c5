"""Operators that combine the elements along axes: ReduceMean, Softmax, LogSoftmax, LRN."""

from __future__ import annotations

from columnar_nn.expressions.expression import Expression
from columnar_nn.lowering.registry import Gap, Lowering, call, lowers, need_one_tensor
from columnar_nn.model.shape_rules.operands import Operands, normalized_axes, normalized_axis


@lowers("ReduceMean")
def _reduce_mean(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    rank = len(operands.shape(0))
    axes = operands.integer_input(1, "axes")
    if not axes and operands.attribute("noop_with_empty_axes"):
        return inputs[0]
    reduced = sorted(normalized_axes(axes or range(rank), rank))
    keepdims = operands.attribute("keepdims")
    if 0 in reduced:
        raise Gap("a mean over the rows")
    if rank == 4 and reduced == [2, 3]:
        pooled = call(operands, "global_avg_pool", inputs)
        return pooled if keepdims else call(operands, "flatten", [pooled])
    if len(reduced) == rank - 1 and not keepdims:
        raise Gap("rows without a dimension")
    return call(operands, "reduce_mean", inputs, axes=reduced, keepdims=keepdims)


def _softmax(function: str) -> Lowering:
    def lowering(operands: Operands, inputs: list[Expression]) -> Expression:
        rank = len(operands.shape(0))
        axis = normalized_axis(operands.attribute("axis"), rank)
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
