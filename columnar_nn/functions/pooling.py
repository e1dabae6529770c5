"""max_pool, avg_pool and global_avg_pool: ONNX MaxPool, AveragePool and GlobalAveragePool."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import row_size, tensor_shape
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.kernels import BoundKernel
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules import window


def _windowed(name: str, bind: Callable[..., BoundKernel], op_type: str) -> VectorFunction:
    """A function whose kernel takes the attributes of an ONNX operator."""
    defaults = {**window.plain_window(2), **OPERATORS[op_type].defaults}

    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        source = _image(assembly, values[0])
        given = {key: call.attributes.get(key, value) for key, value in defaults.items()}
        kernel = bind(source.layout, call.attributes["kernel_shape"], **given)
        return assembly.apply(kernel, source)

    return VectorFunction(name, window.pool, assemble, _window_operations, defaults)


def _global_average(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    source = _image(assembly, values[0])
    return assembly.apply(kernels.global_average_pool(source.layout), source)


def _image(assembly: Assembly, value: Value) -> Value:
    """An image of blocks, or in bfloat16 if it is."""
    return assembly.narrowed(value) if value.is_narrow else assembly.blocked(value)


def _window_operations(call: Call) -> int:
    return elements(call) * row_size(tuple(call.attributes["kernel_shape"]))


def _global_operations(call: Call) -> int:
    shape = tensor_shape(call.inputs[0].type)
    assert shape is not None
    return row_size(shape)


FUNCTIONS = (
    _windowed("max_pool", kernels.max_pool, "MaxPool"),
    _windowed("avg_pool", kernels.average_pool, "AveragePool"),
    VectorFunction("global_avg_pool", window.global_pool, _global_average, _global_operations),
)
