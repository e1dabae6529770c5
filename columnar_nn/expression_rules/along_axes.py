"""Operators that combine the elements along axes: ReduceMean, Softmax, LogSoftmax, LRN."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.expression_rules.rule import Gap, Rule, call, need_rank
from columnar_nn.expressions import Expression
from columnar_nn.shape_rules.operands import Operands, normalized_axes, normalized_axis


def _reduce_mean(operands: Operands, inputs: list[Expression]) -> Expression:
    axes = operands.integer_input(1, "axes")
    shape = operands.shape(0)
    if not axes or len(shape) != 4 or sorted(normalized_axes(axes, 4)) != [2, 3]:
        raise Gap("only the mean over height and width")
    pooled = call(operands, "global_avg_pool", inputs)
    if operands.attribute("keepdims", 1):
        return pooled
    return call(operands, "flatten", [pooled])


def _softmax(function: str) -> Callable[[Operands, list[Expression]], Expression]:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        need_rank(operands, (2,), "an input")
        if normalized_axis(operands.attribute("axis", -1), 2) != 1:
            raise Gap("axis 0 would mix rows")
        return call(operands, function, inputs)

    return rule


RULES: dict[str, Rule] = {
    "ReduceMean": _reduce_mean,
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log_softmax"),
}
