"""concat: tensors side by side along their channels (or features)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from columnar_nn import kernels
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, no_operations
from columnar_nn.graph import Node, Shape
from columnar_nn.shape_rules import layout
from columnar_nn.shape_rules.operands import Operands

if TYPE_CHECKING:
    from columnar_nn.expressions import Call


def shape(operands: Operands) -> tuple[Shape, ...]:
    """ONNX Concat along axis 1."""
    node = Node("", "Concat", operands.node.inputs, operands.node.outputs, {"axis": 1})
    return layout.concat(Operands(node, operands.shapes, operands.constants))


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel an input, all writing the same buffer."""
    blocked = len(values[0].shape) == 3 and any(v.layout.kind == "nchw16c" for v in values)
    sources = [assembly.blocked(v) if blocked else assembly.planar(v) for v in values]
    parts = kernels.concat([source.layout for source in sources])
    output = Value(assembly.new_buffer(), parts[0].output_layout, parts[0].output_layout.shape)
    for part, source in zip(parts, sources, strict=True):
        assembly.write(part, (source,), output.buffer)
    return output


FUNCTIONS = (VectorFunction("concat", shape, assemble, no_operations),)
