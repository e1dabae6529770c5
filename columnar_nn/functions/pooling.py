"""max_pool, avg_pool and global_avg_pool: ONNX MaxPool, AveragePool and GlobalAveragePool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from columnar_nn import kernels
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import (
    VectorFunction,
    elements,
    row_size,
    tensor_shape,
)
from columnar_nn.shape_rules import window

if TYPE_CHECKING:
    from columnar_nn.expressions import Call

DEFAULTS = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "ceil_mode": 0}
AVERAGE_DEFAULTS = {**DEFAULTS, "count_include_pad": 0}


def _max(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    source = assembly.blocked(values[0])
    given = {**DEFAULTS, **call.attributes}
    kernel = kernels.max_pool(
        source.layout,
        given["kernel_shape"],
        given["strides"],
        given["pads"],
        given["dilations"],
        bool(given["ceil_mode"]),
    )
    return assembly.apply(kernel, source)


def _average(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    source = assembly.blocked(values[0])
    given = {**AVERAGE_DEFAULTS, **call.attributes}
    kernel = kernels.average_pool(
        source.layout,
        given["kernel_shape"],
        given["strides"],
        given["pads"],
        bool(given["ceil_mode"]),
        bool(given["count_include_pad"]),
    )
    return assembly.apply(kernel, source)


def _global_average(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    source = assembly.blocked(values[0])
    return assembly.apply(kernels.global_average_pool(source.layout), source)


def _window_operations(call: Call) -> int:
    return elements(call) * row_size(tuple(call.attributes["kernel_shape"]))


def _global_operations(call: Call) -> int:
    shape = tensor_shape(call.inputs[0].type)
    assert shape is not None
    return row_size(shape)


FUNCTIONS = (
    VectorFunction("max_pool", window.pool, _max, _window_operations, DEFAULTS),
    VectorFunction("avg_pool", window.pool, _average, _window_operations, AVERAGE_DEFAULTS),
    VectorFunction("global_avg_pool", window.global_pool, _global_average, _global_operations),
)
