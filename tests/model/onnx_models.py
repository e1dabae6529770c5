"""Small ONNX models for the tests of the import, made with onnx.helper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from generated import normal
from onnx import TensorProto, helper, numpy_helper

IMAGE = ("N", 3, 7, 8)
FILTERS = normal(1, 5, 3, 3, 3)
CONV = helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1])
"""Of the image x and the filters w to c: five channels of the same size."""


def value(
    name: str, shape: Sequence[int | str | None] | None = IMAGE, dtype: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    """A tensor that enters or leaves a graph; a shape of None is left out."""
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node with edges named in words; "-" is an absent one."""
    edges = [["" if name == "-" else name for name in names.split()] for names in (inputs, outputs)]
    return helper.make_node(op_type, *edges, **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, Any] | None = None,
    outputs: str = "y",
    *,
    opset: int = 17,
    ir_version: int = 8,
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model from the image x to `outputs`, whose shapes it does not say."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [value("x")] if inputs is None else list(inputs),
        [value(name, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(w), name) for name, w in (weights or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(
        graph, opset_imports=imports, ir_version=ir_version, functions=list(functions)
    )


def function(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: str = "a",
    outputs: str = "b",
    opset: int = 17,
    **defaults: Any,
) -> onnx.FunctionProto:
    """A local function of the domain "local", whose attributes have the defaults given."""
    made = helper.make_function(
        "local",
        name,
        inputs.split(),
        outputs.split(),
        list(nodes),
        [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)],
    )
    made.attribute_proto.extend(helper.make_attribute(k, v) for k, v in defaults.items())
    return made


def call(name: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A call of a local function."""
    return node(name, inputs, outputs, domain="local", **attributes)


def referring(made: onnx.NodeProto, attribute: str, reference: str, kind: int) -> onnx.NodeProto:
    """The node with an attribute that is the function's attribute `reference`."""
    made.attribute.add(name=attribute, ref_attr_name=reference, type=kind)
    return made


def branch(nodes: Sequence[onnx.NodeProto], outputs: str, **weights: Any) -> onnx.GraphProto:
    """A branch of an If."""
    return helper.make_graph(
        list(nodes),
        "branch",
        [],
        [value(name, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items()],
    )


def constant(name: str, array: Any) -> onnx.NodeProto:
    """A Constant node."""
    return helper.make_node(
        "Constant", [], [name], value=numpy_helper.from_array(np.asarray(array))
    )
