"""An ONNX model as a graph in canonical form, in named steps:

read        `onnx_file`, `stored_tensors`: what the file says, wherever it stores its tensors
inline      `inline_functions`: local functions become their bodies
prune       `prune`: nodes, weights and optional outputs that no output needs go
fold        `importer`: each node in canonical form (`canonical`), or, where all that it reads is
            known, the constant that it makes (`fold`)
rewrite     `rewrites`: what only renames a tensor goes
judge       `judge`: what no backend can run is refused, all of it at once
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import onnx

from columnar_nn.errors import InvalidModelError, printable
from columnar_nn.model import onnx_file
from columnar_nn.model import rewrites as graph_rewrites
from columnar_nn.model.graph import Graph, TensorSpec
from columnar_nn.model.importer import MAX_ELEMENTS, GraphImporter
from columnar_nn.model.inline_functions import Inliner
from columnar_nn.model.input_shapes import Sizes, check_names, fixed
from columnar_nn.model.judge import judge_nodes, judge_weights
from columnar_nn.model.names import FreshNames
from columnar_nn.model.precision import is_float, precision_of
from columnar_nn.model.prune import needed_nodes, without_unread_outputs
from columnar_nn.model.stored_tensors import StoredTensors
from columnar_nn.model.truth_outputs import truths_as_numbers


def imported(
    model: onnx.ModelProto,
    stored: StoredTensors,
    name: str,
    without: Collection[str],
    input_shapes: Mapping[str, Sizes],
    batch: int | None,
) -> Graph:
    """The graph of a model whose tensors are `stored`; see `onnx_io.load` for the rest."""
    prunes = graph_rewrites.DROP_DEAD_NODES not in without
    file = onnx_file.read(model)
    graph, outputs = file.graph, tuple(dict.fromkeys(file.graph.outputs))
    node_names = FreshNames(())
    nodes = onnx_file.with_unique_names(graph.nodes, node_names)
    inliner = Inliner(file, FreshNames(graph.names()), node_names)
    nodes = inliner.flat(nodes)
    if prunes:
        nodes = needed_nodes(nodes, outputs)
    nodes = without_unread_outputs(nodes, outputs)

    folds = graph_rewrites.FOLD_CONSTANTS not in without
    precision = precision_of(file)
    importer = GraphImporter(stored, inliner, folds, precision)
    read = {tensor for node in nodes for tensor in node.reads()}.union(outputs)
    for tensor, value in graph.stored.items():
        if tensor in read or not prunes:
            importer.add_stored(tensor, value)
    check_names(input_shapes, [tensor for tensor in graph.inputs if tensor not in graph.stored])
    inputs = [
        _input_spec(tensor, value, input_shapes, precision, batch)
        for tensor, value in zip(graph.inputs, file.inputs, strict=True)
        if tensor not in graph.stored
    ]
    importer.add_inputs(inputs)
    importer.run(nodes)

    left = needed_nodes(importer.nodes, outputs) if prunes else importer.nodes
    judge_nodes(left, importer.gaps, importer.errors)
    made = importer.graph(printable(graph.name or name), left, inputs, outputs, prunes)
    rewritten = truths_as_numbers(graph_rewrites.apply(made, without))
    judge_weights(rewritten)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return replace(rewritten, metadata=metadata, precision=precision)


def _input_spec(
    name: str,
    value: onnx.ValueInfoProto,
    input_shapes: Mapping[str, Sizes],
    precision: str,
    batch: int | None,
) -> TensorSpec:
    """Name and shape of a network input; only the first dimension may stay symbolic, or be -1."""
    tensor = value.type.tensor_type
    if not is_float(tensor.elem_type, precision):
        types = {number: kind.lower() for kind, number in onnx.TensorProto.DataType.items()}
        raise InvalidModelError(
            f"input {name!r} is {types.get(tensor.elem_type, 'unknown')}, of no floating-point "
            "type: export with an input in float32, pixels in [0, 1]"
        )
    if not name or not tensor.HasField("shape"):
        raise InvalidModelError(
            f"input {name!r} has no name or no shape: export with a fixed image size"
        )
    stored = tuple(
        dimension.dim_value
        if dimension.HasField("dim_value") and dimension.dim_value != -1
        else None
        for dimension in tensor.shape.dim
    )
    shape = fixed(name, stored, input_shapes) if stored else stored
    if shape and shape[0] is None:
        shape = (batch, *shape[1:])
    if any(d is not None and d < 0 for d in shape) or (
        math.prod(d for d in shape if d is not None) > MAX_ELEMENTS
    ):
        raise InvalidModelError(
            f"input {name!r} of shape {shape} is no batch of images that memory holds: "
            "export with a fixed image size and a smaller batch"
        )
    return TensorSpec(name, shape)
