"""Conv, MaxPool, AveragePool and GlobalAveragePool over images, signals and volumes.

Kernels slide windows over images. A signal is an image of height 1. A volume is pooled slice by
slice, then across the slices, which gives the same since a window is a box; it is convolved as
one image, in which the slices that a window sees are channels of a group of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from columnar_nn.expressions.expression import Expression
from columnar_nn.lowering.registry import Gap, Lowering, call, lowers, need_one_tensor
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.window import Window, conv_window, pool_window


def _row(operands: Operands) -> list[int]:
    """Channels and spatial sizes of the input."""
    return [size for size in operands.shape(0)[1:] if size is not None]


def _reshaped(
    operands: Operands, value: Expression, shape: Sequence[int], wanted: Sequence[int]
) -> Expression:
    """Rows of `shape` as rows of the shape that is wanted."""
    if list(shape) == list(wanted):
        return value
    return call(operands, "reshape", [value], shape=list(wanted))


def _attributes(window: Window, axes: Sequence[int | None]) -> dict[str, Any]:
    """The window's attributes along two of its axes; None is an axis that it does not have."""

    def along(values: Sequence[int], absent: int) -> list[int]:
        return [absent if axis is None else values[axis] for axis in axes]

    rank = len(window.output)
    return {
        "strides": along(window.strides, 1),
        "pads": [*along(window.pads[:rank], 0), *along(window.pads[rank:], 0)],
        "dilations": along(window.dilations, 1),
    }


@lowers("Conv")
def _conv(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    filters, bias = operands.constant(1, "the filters"), operands.constant(2, "the bias")
    assert filters is not None
    group = operands.attribute("group")
    row = _row(operands)
    return convolved(operands, inputs[0], row, filters, bias, conv_window(operands), group)


def convolved(
    operands: Operands,
    image: Expression,
    row: Sequence[int],
    filters: np.ndarray,
    bias: np.ndarray | None,
    window: Window,
    group: int,
) -> Expression:
    """Rows of shape `row`, channels first, convolved in 1 to 3 dimensions; raises Gap for others.

    Filters are those of ONNX Conv, [M, C/group, kernel...].
    """
    rank, num_filters, depth = len(window.output), len(filters), 1
    axes: tuple[int | None, int] = (rank - 2, rank - 1)
    if rank == 1:
        axes = (None, 0)
        image = _reshaped(operands, image, row, [row[0], 1, row[1]])
        filters = filters[:, :, np.newaxis]
    elif rank == 3:
        depth = window.output[0]
        image = _slices_as_channels(operands, image, window, row)
        filters = filters.reshape(num_filters, -1, *filters.shape[3:])
        filters = np.tile(filters, (depth, 1, 1, 1))
    elif rank != 2:
        raise Gap(f"{rank} spatial dimensions; kernels convolve 1 to 3")
    attributes = {**_attributes(window, axes), "group": group * depth}
    result = call(operands, "conv2d", [image], {"weight": filters}, **attributes)
    if bias is not None:
        result = call(operands, "vec_scal_add", [result], {"bias": np.tile(bias, depth)})
    if rank == 2:
        return result
    if rank == 1:
        return call(operands, "reshape", [result], shape=[num_filters, *window.output])
    slices = call(operands, "reshape", [result], shape=[depth, num_filters, *window.output[1:]])
    return call(operands, "transpose", [slices], perm=[1, 0, 2, 3])


def _slices_as_channels(
    operands: Operands, volume: Expression, window: Window, row: Sequence[int]
) -> Expression:
    """Images [D' * C * K, H, W]: for each of D' results along the depth, C channels of K slices."""
    channels, depth, *image = row
    kernel, stride, dilation = window.kernel_shape[0], window.strides[0], window.dilations[0]
    before, after, count = window.pads[0], window.pads[3], window.output[0]
    if before or after:
        volume = call(operands, "pad", [volume], pads=[0, before, 0, 0, 0, after, 0, 0])
        depth += before + after
    parts: list[Expression] = []
    for tap in range(kernel):
        start = tap * dilation
        part = call(
            operands,
            "slice",
            [volume],
            starts=[0, start, 0, 0],
            stops=[channels, start + (count - 1) * stride + 1, *image],
            steps=[1, stride, 1, 1],
        )
        parts.append(call(operands, "reshape", [part], shape=[channels, 1, count, *image]))
    taps = call(operands, "concat", parts, axis=2)
    ordered = call(operands, "transpose", [taps], perm=[2, 0, 1, 3, 4])
    return call(operands, "reshape", [ordered], shape=[count * channels * kernel, *image])


def _pool(function: str) -> Lowering:
    def lowering(operands: Operands, inputs: list[Expression]) -> Expression:
        window, row = pool_window(operands), _row(operands)
        defaults = OPERATORS[operands.node.op_type].defaults
        others = {name: operands.attribute(name) for name in defaults}
        rank = len(window.output)
        passes: list[tuple[int | None, int | None]] = [(rank - 2, rank - 1)]
        if rank == 1:
            passes = [(None, 0)]
        passes += [(axis, None) for axis in reversed(range(rank - 2))]
        value, shape = inputs[0], list(row)
        for axes in passes:
            first = 0 if axes[0] is None else axes[0]
            height = 1 if axes[0] is None else row[1 + first]
            spatial = math.prod(row[1 + first :])
            image = [math.prod(row[: 1 + first]), height, spatial // height]
            value = call(
                operands,
                function,
                [_reshaped(operands, value, shape, image)],
                kernel_shape=[1 if axis is None else window.kernel_shape[axis] for axis in axes],
                **_attributes(window, axes),
                **others,
            )
            for axis in axes:
                if axis is not None:
                    row[1 + axis] = window.output[axis]
            height = 1 if axes[0] is None else row[1 + first]
            shape = [image[0], height, math.prod(row[1 + first :]) // height]
        return _reshaped(operands, value, shape, row)

    return lowering


@lowers("GlobalAveragePool")
def _global_average(operands: Operands, inputs: list[Expression]) -> Expression:
    channels, *spatial = row = _row(operands)
    image = [channels, math.prod(spatial[:-1]), spatial[-1]]
    pooled = call(operands, "global_avg_pool", [_reshaped(operands, inputs[0], row, image)])
    return _reshaped(operands, pooled, [channels, 1, 1], [channels, *(1 for _ in spatial)])


lowers("MaxPool")(_pool("max_pool"))
lowers("AveragePool")(_pool("avg_pool"))
