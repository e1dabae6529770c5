"""Conv, MaxPool, AveragePool and GlobalAveragePool."""

from __future__ import annotations

from typing import Any

import numpy as np

from columnar_nn.expression_rules.rule import Gap, Rule, call, need_one_tensor, need_rank
from columnar_nn.expressions import Expression
from columnar_nn.shape_rules.operands import Operands
from columnar_nn.shapes import RULES as SHAPE_RULES


def _attributes(operands: Operands, *names: str) -> dict[str, Any]:
    """The window's attributes for images: a signal's length is the width, its height is 1."""
    found = {
        name: operands.node.attributes[name] for name in names if name in operands.node.attributes
    }
    if len(operands.shape(0)) == 3:
        for name in {"kernel_shape", "strides", "dilations"} & found.keys():
            found[name] = [1, *found[name]]
        if "pads" in found:
            before, after = found["pads"]
            found["pads"] = [0, before, 0, after]
    return found


def _as_images(operands: Operands, inputs: list[Expression]) -> list[Expression]:
    """The input [N, C, H, W]; a signal [N, C, length] as images of height 1."""
    need_rank(operands, (3, 4), "an input")
    _, channels, *spatial = operands.shape(0)
    if len(spatial) == 2:
        return inputs
    return [call(operands, "reshape", inputs, shape=[channels, 1, *spatial])]


def _as_given(operands: Operands, images: Expression) -> Expression:
    """Images of height 1 as the signals that they are, other images as they are."""
    (target,) = SHAPE_RULES[operands.node.op_type](operands)
    if len(target) == 4:
        return images
    return call(operands, "reshape", [images], shape=list(target[1:]))


def _conv(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    images = _as_images(operands, inputs)
    attributes = _attributes(operands, "strides", "pads", "dilations", "group")
    filters = operands.constant(1, "the filters")
    assert filters is not None
    if filters.ndim == 3:
        filters = filters[:, :, np.newaxis]
    result = call(operands, "conv2d", images, {"weight": filters}, **attributes)
    bias = operands.constant(2, "the bias")
    if bias is not None:
        result = call(operands, "vec_scal_add", [result], {"bias": bias})
    return _as_given(operands, result)


def _pool(function: str, *names: str) -> Rule:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        images = _as_images(operands, inputs)
        attributes = _attributes(operands, "kernel_shape", "strides", "pads", "ceil_mode", *names)
        if function == "avg_pool" and set(operands.attribute("dilations", [1])) != {1}:
            raise Gap("dilation of an average")
        return _as_given(operands, call(operands, function, images, **attributes))

    return rule


def _global_average(operands: Operands, inputs: list[Expression]) -> Expression:
    images = _as_images(operands, inputs)
    return _as_given(operands, call(operands, "global_avg_pool", images))


RULES: dict[str, Rule] = {
    "Conv": _conv,
    "MaxPool": _pool("max_pool", "dilations"),
    "AveragePool": _pool("avg_pool", "count_include_pad"),
    "GlobalAveragePool": _global_average,
}
