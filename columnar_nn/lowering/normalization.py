"""Operators that normalise by statistics of the tensor: layers, groups and instances."""

from __future__ import annotations

import numpy as np

from columnar_nn.expressions.expression import Expression
from columnar_nn.lowering.registry import Gap, call, lowers, need_one_tensor
from columnar_nn.model.shape_rules.operands import Operands, normalized_axes, normalized_axis

MEAN_VARIANCE_EPSILON = 1e-18
"""MeanVarianceNormalization adds 1e-9 to the standard deviation. This, added to the variance, is
the same to float32 but for deviations of less than 1e-2, where the two differ by at most 1e-9."""


@lowers("LayerNormalization")
def _layer(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    shape = operands.shape(0)
    axis = normalized_axis(operands.attribute("axis"), len(shape))
    if axis == 0 and (shape[0] != 1 or len(shape) == 1):
        raise Gap("axis 0 would mix rows")
    axis = max(axis, 1)  # a batch of one adds nothing to sum over
    normalized = [size for size in shape[axis:] if size is not None]
    weights = {}
    for index, role in ((1, "scale"), (2, "bias")):
        given = operands.constant(index, f"the {role}")
        if given is not None:
            row = given.reshape(given.shape[max(0, given.ndim - len(normalized)) :])
            weights[role] = np.ascontiguousarray(np.broadcast_to(row, normalized))
    return call(
        operands, "layer_norm", inputs, weights, axis=axis, epsilon=operands.attribute("epsilon")
    )


def _of_channels(operands: Operands, inputs: list[Expression], groups: int) -> Expression:
    need_one_tensor(operands, inputs)
    scale, bias = operands.constant(1, "the scale"), operands.constant(2, "the bias")
    assert scale is not None
    assert bias is not None
    weights = {"scale": scale, "bias": bias}
    epsilon = operands.attribute("epsilon")
    return call(operands, "group_norm", inputs, weights, num_groups=groups, epsilon=epsilon)


@lowers("InstanceNormalization")
def _instance(operands: Operands, inputs: list[Expression]) -> Expression:
    return _of_channels(operands, inputs, int(operands.shape(0)[1] or 0))


@lowers("GroupNormalization")
def _group(operands: Operands, inputs: list[Expression]) -> Expression:
    return _of_channels(operands, inputs, operands.attribute("num_groups"))


@lowers("MeanVarianceNormalization")
def _mean_variance(operands: Operands, inputs: list[Expression]) -> Expression:
    """The axes, moved to the end, are a layer of their own."""
    need_one_tensor(operands, inputs)
    rank = len(operands.shape(0))
    axes = sorted(normalized_axes(operands.attribute("axes"), rank))
    if 0 in axes:
        axes.remove(0)
        if operands.shape(0)[0] != 1 or not axes:
            raise Gap("statistics of all rows")
    kept = [axis for axis in range(1, rank) if axis not in axes]
    order = [axis - 1 for axis in (*kept, *axes)]
    value = inputs[0]
    if order != sorted(order):
        value = call(operands, "transpose", [value], perm=order)
    value = call(operands, "layer_norm", [value], axis=1 + len(kept), epsilon=MEAN_VARIANCE_EPSILON)
    if order != sorted(order):
        value = call(operands, "transpose", [value], perm=np.argsort(order).tolist())
    return value
