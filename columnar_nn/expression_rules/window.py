"""Conv, MaxPool, AveragePool and GlobalAveragePool."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.expression_rules.rule import Gap, Rule, call, need_one_tensor, need_rank
from columnar_nn.expressions import Expression
from columnar_nn.shape_rules.operands import Operands


def _conv(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    need_rank(operands, (4,), "an input")
    attributes = {
        name: operands.node.attributes[name]
        for name in ("strides", "pads", "dilations", "group")
        if name in operands.node.attributes
    }
    filters = operands.constant(1, "the filters")
    assert filters is not None
    result = call(operands, "conv2d", inputs, {"weight": filters}, **attributes)
    bias = operands.constant(2, "the bias")
    if bias is None:
        return result
    return call(operands, "vec_scal_add", [result], {"bias": bias})


def _pool(function: str, *names: str) -> Callable[[Operands, list[Expression]], Expression]:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        need_rank(operands, (4,), "an input")
        attributes = {
            name: operands.node.attributes[name]
            for name in ("kernel_shape", "strides", "pads", "ceil_mode", *names)
            if name in operands.node.attributes
        }
        if function == "avg_pool" and set(operands.attribute("dilations", [1])) != {1}:
            raise Gap("dilation of an average")
        return call(operands, function, inputs, **attributes)

    return rule


def _global_average(operands: Operands, inputs: list[Expression]) -> Expression:
    need_rank(operands, (4,), "an input")
    return call(operands, "global_avg_pool", inputs)


RULES: dict[str, Rule] = {
    "Conv": _conv,
    "MaxPool": _pool("max_pool", "dilations"),
    "AveragePool": _pool("avg_pool", "count_include_pad"),
    "GlobalAveragePool": _global_average,
}
