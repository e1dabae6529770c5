"""ONNX files read into graphs in canonical form, and graphs written back.

The import is one pipeline of named steps:

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
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError, UsageError, printable
from columnar_nn.model import onnx_file
from columnar_nn.model import rewrites as graph_rewrites
from columnar_nn.model.canonical import OPSET
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.importer import MAX_ELEMENTS, GraphImporter
from columnar_nn.model.inline_functions import Inliner
from columnar_nn.model.input_shapes import Sizes, check_names, fixed
from columnar_nn.model.judge import judge_inputs, judge_nodes, judge_weights
from columnar_nn.model.names import FreshNames
from columnar_nn.model.operators import is_custom
from columnar_nn.model.precision import is_float, precision_of
from columnar_nn.model.prune import needed_nodes, without_unread_outputs
from columnar_nn.model.shapes import infer_shapes
from columnar_nn.model.stored_tensors import StoredTensors
from columnar_nn.model.truth_outputs import truths_as_numbers

IR_VERSION = 10
MAX_BYTES = 2**31
"""Of a file without its external data: what protobuf can read."""


def load(
    path: str | os.PathLike[str],
    without: Collection[str] = (),
    input_shapes: Mapping[str, Sizes] | None = None,
    batch: int | None = None,
) -> Graph:
    """The network in an ONNX file, its nodes in canonical form (see canonical.py).

    Constants become weights, unnamed nodes get names, and the graph is rewritten by the rules of
    `model.rewrites` that are not named in `without`. Sizes that the file leaves free are those of
    `input_shapes` (see `model.input_shapes`), a batch that it leaves free is `batch` images, if
    that is given. Raises UsageError if there is no such file, InvalidModelError if it is not a
    valid network of images, or refers to data outside its own folder, and UnsupportedOperatorError
    naming every node it cannot represent.
    """
    path = Path(path)
    try:
        content = _content(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read model {path}: {reason}; check the path") from None
    stored = StoredTensors(path.parent, len(content), path)
    shapes = input_shapes or {}
    graph = _of_content(content, stored, str(path), path.stem, without, shapes, batch)
    return replace(graph, file=str(path.absolute()))


def load_bytes(content: bytes, batch: int | None = None) -> Graph:
    """The network in what an ONNX file holds, as `load` reads the file, and raising as it does.

    There is no folder that other files could lie in: all of its weights must be inside.
    """
    stored = StoredTensors(None, len(content))
    return _of_content(content, stored, "ONNX bytes", "network", (), {}, batch)


def _of_content(
    content: bytes,
    stored: StoredTensors,
    what: str,
    name: str,
    without: Collection[str],
    input_shapes: Mapping[str, Sizes],
    batch: int | None,
) -> Graph:
    """The network of images in a file's content; an error says `what` it is."""
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        raise InvalidModelError(
            f"{what}: truncated or not an ONNX file; download or export it again"
        ) from None
    try:
        graph = _imported(model, stored, name, without, input_shapes, batch)
        judge_inputs(graph)
    except InvalidModelError as error:
        raise InvalidModelError(f"{what}: {error}") from None
    except UnsupportedOperatorError as error:
        raise UnsupportedOperatorError(error.backend, error.nodes, what) from None
    return graph


def _content(path: Path) -> bytes:
    """What a regular file holds: a FIFO might never be written to, and a device has no end."""
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise ValueError("not a regular file")
    if status.st_size > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes, which no ONNX file has")
    return path.read_bytes()


def from_proto(
    model: onnx.ModelProto, folder: Path, name: str = "network", without: Collection[str] = ()
) -> Graph:
    """The graph of an ONNX model whose external data, if any, lies in `folder`.

    Raises as `load` does, but it need not compute from images. The model is called `name` if it
    does not name itself.
    """
    return _imported(model, StoredTensors(folder, model.ByteSize()), name, without, {}, None)


def _imported(
    model: onnx.ModelProto,
    stored: StoredTensors,
    name: str,
    without: Collection[str],
    input_shapes: Mapping[str, Sizes],
    batch: int | None,
) -> Graph:
    """The pipeline: see above."""
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
    imported = importer.graph(printable(graph.name or name), left, inputs, outputs, prunes)
    imported = truths_as_numbers(graph_rewrites.apply(imported, without))
    judge_weights(imported)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return replace(imported, metadata=metadata, precision=precision)


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Writes `graph` as one ONNX file (opset 21); equal graphs give equal bytes."""
    Path(path).write_bytes(to_proto(graph).SerializeToString(deterministic=True))


def to_proto(graph: Graph) -> onnx.ModelProto:
    """The graph as an ONNX model with its metadata, the batch dimension symbolic, if it is.

    The model passes the checker.
    """
    shapes = infer_shapes(graph)
    custom = (node.op_type for node in graph.nodes if is_custom(node.op_type))
    domains = sorted({op_type.rpartition("::")[0] for op_type in custom})
    proto = helper.make_graph(
        [_node_proto(node) for node in graph.nodes],
        graph.name,
        [_value_info(spec.name, spec.shape, spec.dtype) for spec in graph.inputs],
        [_value_info(spec.name, shapes[spec.name], spec.dtype) for spec in graph.outputs],
        [numpy_helper.from_array(array, name) for name, array in graph.weights.items()],
    )
    model = helper.make_model(
        proto,
        opset_imports=[
            helper.make_opsetid("", OPSET),
            *(helper.make_opsetid(domain, 1) for domain in domains),
        ],
        ir_version=IR_VERSION,
        producer_name="cnn-bench",
    )
    helper.set_model_props(model, dict(graph.metadata))
    onnx.checker.check_model(model)
    return model


def _input_spec(
    name: str,
    value: onnx.ValueInfoProto,
    input_shapes: Mapping[str, Sizes],
    precision: str,
    batch: int | None,
) -> TensorSpec:
    """Name and shape of a network input; only the first dimension may stay symbolic."""
    tensor = value.type.tensor_type
    if not is_float(tensor.elem_type, precision):
        raise InvalidModelError(f"input {name!r} is of no floating-point type: export in float32")
    if not name or not tensor.HasField("shape"):
        raise InvalidModelError(
            f"input {name!r} has no name or no shape: export with a fixed image size"
        )
    stored = tuple(
        dimension.dim_value if dimension.HasField("dim_value") else None
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


def _node_proto(node: Node) -> onnx.NodeProto:
    if is_custom(node.op_type):
        domain, _, op_type = node.op_type.rpartition("::")
        edges = (node.inputs, node.outputs, node.name)
        return helper.make_node(op_type, *edges, domain=domain, **node.attributes)
    schema = onnx.defs.get_schema(node.op_type, OPSET)
    proto = helper.make_node(node.op_type, node.inputs, node.outputs, node.name)
    for name, value in sorted(node.attributes.items()):
        kind: Any = schema.attributes[name].type
        proto.attribute.append(helper.make_attribute(name, value, attr_type=kind.value))
    return proto


def _value_info(name: str, shape: Shape, dtype: str) -> onnx.ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    dimensions = ["batch" if dimension is None else dimension for dimension in shape]
    return helper.make_tensor_value_info(name, element, dimensions)
