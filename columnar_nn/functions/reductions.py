"""reduce_sum, reduce_max, reduce_l2 ...: ONNX's reductions over any axes of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def _assemble(operation: str) -> Callable[[Assembly, Call, Sequence[Value]], Value]:
    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        """Of axes that lie side by side; others are brought to the end before."""
        axes = sorted(axis - 1 for axis in call.attributes["axes"])
        source = assembly.planar(values[0])
        first, end = axes[0], axes[-1] + 1
        if axes != list(range(first, end)):
            kept = [axis for axis in range(len(source.shape)) if axis not in axes]
            source = assembly.transposed(source, [*kept, *axes])
            first, end = len(kept), len(source.shape)
        runs = source.shape[:first], source.shape[first:end], source.shape[end:]
        planar = assembly.planar(assembly.reshaped(source, tuple(map(row_size, runs))))
        result = tensor_shape(call.type)
        assert result is not None
        kernel = kernels.reduction(planar.layout, operation)
        return assembly.reshaped(assembly.apply(kernel, planar), result)

    return assemble


def _operations(call: Call) -> int:
    source = tensor_shape(call.inputs[0].type)
    assert source is not None
    return row_size(source)


FUNCTIONS = tuple(
    VectorFunction(f"reduce_{name}", shape, _assemble(name), _operations, DEFAULTS)
    for name in kernels.REDUCTIONS
)
