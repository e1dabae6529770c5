"""Some nodes of a model moved into a local function of it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import AttributeProto, helper

DOMAIN = "random.functions"
_SCALARS = (AttributeProto.INT, AttributeProto.FLOAT)


def with_function(model: onnx.ModelProto, random: np.random.Generator) -> onnx.ModelProto:
    """The same model with a few consecutive nodes in a function; needs IR version 9 (defaults).

    One of their scalar attributes, if any has one, becomes the function's, given by its caller or
    by its default.
    """
    nodes = list(model.graph.node)
    first = int(random.integers(len(nodes)))
    last = first + int(random.integers(1, 4))
    inside = nodes[first:last]
    made = [name for node in inside for name in node.output if name]
    read_later = {name for node in nodes[last:] for name in node.input}
    read_later |= {value.name for value in model.graph.output}
    outputs = [name for name in made if name in read_later]
    inputs = list(dict.fromkeys(n for node in inside for n in node.input if n and n not in made))
    if not outputs:
        return model
    body = [onnx.NodeProto.FromString(node.SerializeToString()) for node in inside]
    call = helper.make_node("Part", inputs, outputs, "part", domain=DOMAIN)
    function = helper.make_function(DOMAIN, "Part", inputs, outputs, body, list(model.opset_import))
    scalars = [a for node in function.node for a in node.attribute if a.type in _SCALARS]
    if scalars:
        attribute = scalars[random.integers(len(scalars))]
        given = AttributeProto.FromString(attribute.SerializeToString())
        given.name = "parameter"
        (function.attribute_proto if random.random() < 0.5 else call.attribute).append(given)
        if not function.attribute_proto:
            function.attribute.append("parameter")
        reference = AttributeProto(
            name=attribute.name, type=attribute.type, ref_attr_name="parameter"
        )
        attribute.CopyFrom(reference)
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    del changed.graph.node[:]
    changed.graph.node.extend([*nodes[:first], call, *nodes[last:]])
    changed.functions.append(function)
    changed.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return changed
