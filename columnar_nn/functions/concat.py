"""concat: tensors side by side along one axis, their channels (or features) by default."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, no_operations
from columnar_nn.model.graph import Node, Shape
from columnar_nn.model.shape_rules import movement
from columnar_nn.model.shape_rules.operands import Operands

DEFAULTS = {"axis": 1}


def shape(operands: Operands) -> tuple[Shape, ...]:
    """ONNX Concat along `axis`, counted from the batch, which is axis 0."""
    node = operands.node
    axis = operands.attribute("axis")
    if axis < 1:
        raise InvalidModelError(f"axis {axis} would put rows side by side")
    along = Node("", "Concat", node.inputs, node.outputs, {"axis": axis})
    return movement.concat(Operands(along, operands.shapes, operands.constants))


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel an input, all writing the same buffer."""
    axis = call.attributes.get("axis", DEFAULTS["axis"]) - 1
    images = axis == 0 and len(values[0].shape) == 3
    blocked = images and any(v.is_blocked for v in values)
    if images and all(v.is_narrow for v in values):
        sources = list(values)
    else:
        sources = [assembly.blocked(v) if blocked else assembly.planar(v) for v in values]
    parts = kernels.concat([source.layout for source in sources], axis)
    output = Value(assembly.new_buffer(), parts[0].output_layout, parts[0].output_layout.shape)
    for part, source in zip(parts, sources, strict=True):
        assembly.write(part, (source,), output.buffer)
    return output


FUNCTIONS = (VectorFunction("concat", shape, assemble, no_operations, DEFAULTS),)
