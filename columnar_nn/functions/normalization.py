"""layer_norm and group_norm: ONNX LayerNormalization, and its relatives, within a row."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import row_size
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.kernels.normalization import group_normalization, normalization
from columnar_nn.model.graph import Shape
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules.normalization import group
from columnar_nn.model.shape_rules.operands import Operands, normalized_axis

LAYER_DEFAULTS = {
    name: OPERATORS["LayerNormalization"].defaults[name] for name in ("axis", "epsilon")
}
GROUP_DEFAULTS = {"epsilon": OPERATORS["GroupNormalization"].defaults["epsilon"]}


def _layer_shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, ...] as it is; perhaps scale, perhaps bias, both of the shape from `axis` on.

    `axis` counts from the batch, which is axis 0.
    """
    source = operands.shape(0)
    axis = normalized_axis(operands.attribute("axis"), len(source))
    if axis == 0:
        raise InvalidModelError("axis 0 would mix rows")
    given = operands.shapes[1:]
    if len(given) > 2 or any(shape != source[axis:] for shape in given):
        raise InvalidModelError(f"constants {given} for {source}: each of shape {source[axis:]}")
    return (source,)


def _layer_norm(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel over the runs of elements from `axis` on."""
    source = assembly.planar(values[0])
    rank = len(source.shape)
    given = {**LAYER_DEFAULTS, **call.attributes}
    axis = normalized_axis(given["axis"], rank + 1) - 1
    runs = (*source.shape[:axis], row_size(source.shape[axis:]))
    flat = assembly.planar(assembly.reshaped(source, runs))
    scale, bias = (*call.weights, None, None)[:2]
    kernel = normalization(flat.layout, given["epsilon"], scale, bias)
    return assembly.reshaped(assembly.apply(kernel, flat), source.shape)


def _group_norm(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel, in whichever layout the channels lie."""
    layout = values[0].layout
    is_blocked = layout.kind == "nchw16c" and layout.shape == values[0].shape
    source = assembly.blocked(values[0]) if is_blocked else assembly.planar(values[0])
    given = {**GROUP_DEFAULTS, **call.attributes}
    kernel = group_normalization(
        source.layout, given["num_groups"], given["epsilon"], *call.weights
    )
    return assembly.apply(kernel, source)


def _operations(call: Call) -> int:
    """Of each element a sum, a difference, a square and its sum, two products and a sum."""
    return 7 * elements(call)


FUNCTIONS = (
    VectorFunction("layer_norm", _layer_shape, _layer_norm, _operations, LAYER_DEFAULTS),
    VectorFunction("group_norm", group, _group_norm, _operations, GROUP_DEFAULTS),
)
