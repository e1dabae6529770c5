"""A file in bfloat16 with its types, and its weights' values, in float32.

onnx.reference adds numbers up in their own type: a mean of a thousand pixels in bfloat16 stops
growing at a quarter of them, as in no processor, which all add them up in float32.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import TensorProto, numpy_helper

_FROM, _TO = TensorProto.BFLOAT16, TensorProto.FLOAT


def widened(file: str) -> bytes:
    """The model at a path, with float32 for bfloat16 everywhere."""
    model = onnx.load(file)
    _graph(model.graph)
    for function in model.functions:
        _nodes(function.node)
    stored: bytes = model.SerializeToString()
    return stored


def _graph(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        _tensor(tensor)
    for sparse in graph.sparse_initializer:
        _tensor(sparse.values)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _FROM:
            value.type.tensor_type.elem_type = _TO
    _nodes(graph.node)


def _nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _graph(attribute.g)
            elif attribute.type == onnx.AttributeProto.TENSOR:
                _tensor(attribute.t)
            elif attribute.name in ("to", "dtype", "output_dtype") and attribute.i == _FROM:
                attribute.i = _TO


def _tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == _FROM:
        wide = numpy_helper.to_array(tensor).astype("float32")
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
