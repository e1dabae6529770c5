"""reduce_mean: ONNX ReduceMean over any axes of a row."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import row_size, tensor_shape
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction
from columnar_nn.model.graph import Shape
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules.operands import Operands

DEFAULTS = {"keepdims": OPERATORS["ReduceMean"].defaults["keepdims"]}


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, ...] with each of `axes` 1, or without them if not `keepdims`; the batch is axis 0."""
    source, axes = operands.shape(0), operands.node.attributes["axes"]
    if not all(1 <= axis < len(source) for axis in axes):
        raise InvalidModelError(f"axes {axes} of {source} would mix rows or do not exist")
    if operands.attribute("keepdims"):
        return (tuple(1 if axis in axes else size for axis, size in enumerate(source)),)
    return (tuple(size for axis, size in enumerate(source) if axis not in axes),)


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """The mean of each run of elements, after a transpose if they do not lie side by side."""
    axes = [axis - 1 for axis in call.attributes["axes"]]
    kept = [axis for axis in range(len(values[0].shape)) if axis not in axes]
    source = assembly.transposed(values[0], [*kept, *sorted(axes)])
    rows = source.shape[: len(kept)]
    runs = assembly.reshaped(source, (*rows, row_size(source.shape[len(kept) :])))
    planar = assembly.planar(runs)
    result = tensor_shape(call.type)
    assert result is not None
    return assembly.reshaped(assembly.apply(kernels.mean(planar.layout), planar), result)


def _operations(call: Call) -> int:
    source = tensor_shape(call.inputs[0].type)
    assert source is not None
    return row_size(source)


FUNCTIONS = (VectorFunction("reduce_mean", shape, assemble, _operations, DEFAULTS),)
