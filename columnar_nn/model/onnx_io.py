"""ONNX files read into graphs in canonical form, and graphs written back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, helper, inliner, numpy_helper

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from columnar_nn.model import rewrites as graph_rewrites
from columnar_nn.model.canonical import OPSET, unsupported_reason
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.importer import GraphImporter
from columnar_nn.model.shapes import infer_shapes

IR_VERSION = 10
WEIGHT_DTYPES = ("float32", "int64", "int32", "bool")


def load(path: str | os.PathLike[str], without: Collection[str] = ()) -> Graph:
    """The network in an ONNX file, its nodes in canonical form (see canonical.py).

    Constants become weights, unnamed nodes get names, and the graph is rewritten by the rules of
    `model.rewrites` that are not named in `without`. Raises UsageError if there is no such
    file, InvalidModelError if it is not a valid network of float32 tensors, or refers to data
    outside its own folder, and UnsupportedOperatorError naming every node it cannot represent.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read model {path}: {error.strerror}; check the path") from None
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        raise InvalidModelError(
            f"{path}: truncated or not an ONNX file; download or export it again"
        ) from None
    try:
        graph = from_proto(model, path.parent, path.stem, without)
    except InvalidModelError as error:
        raise InvalidModelError(f"{path}: {error}") from None
    return replace(graph, file=str(path.absolute()))


def from_proto(
    model: onnx.ModelProto, folder: Path, name: str = "network", without: Collection[str] = ()
) -> Graph:
    """The graph of an ONNX model whose external data, if any, lies in `folder`.

    Raises as `load` does. The model is called `name` if it does not name itself.
    """
    if not model.HasField("graph") or not model.graph.node:
        raise InvalidModelError("the file holds no network; download or export it again")
    if model.functions:
        model = inliner.inline_local_functions(model)
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    nodes = _nodes(model.graph, opset)
    _load_external_data(model, folder)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        raise InvalidModelError(f"not a valid ONNX model: {_first_line(error)}") from None
    importer = GraphImporter(opset)
    for initializer in model.graph.initializer:
        importer.add_weight(initializer.name, _array(initializer, initializer.name))
    inputs = [
        _input_spec(value) for value in model.graph.input if value.name not in importer.weights
    ]
    importer.shapes.update((spec.name, spec.shape) for spec in inputs)
    for node in nodes:
        importer.add(node)
    graph = Graph(
        model.graph.name or name,
        tuple(importer.nodes),
        tuple(inputs),
        tuple(_output_spec(value, importer) for value in model.graph.output),
        importer.weights,
    )
    return graph_rewrites.apply(graph, without)


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Writes `graph` as one ONNX file (opset 21); equal graphs give equal bytes."""
    Path(path).write_bytes(to_proto(graph).SerializeToString(deterministic=True))


def to_proto(graph: Graph) -> onnx.ModelProto:
    """The graph as an ONNX model, the batch dimension symbolic; the model passes the checker."""
    shapes = infer_shapes(graph)
    proto = helper.make_graph(
        [_node_proto(node) for node in graph.nodes],
        graph.name,
        [_value_info(spec.name, spec.shape, spec.dtype) for spec in graph.inputs],
        [_value_info(spec.name, shapes[spec.name], spec.dtype) for spec in graph.outputs],
        [numpy_helper.from_array(array, name) for name, array in graph.weights.items()],
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="cnn-bench",
    )
    onnx.checker.check_model(model)
    return model


def _nodes(graph: onnx.GraphProto, opset: int) -> list[Node]:
    """The file's nodes, uniquely named; raises UnsupportedOperatorError listing all others."""
    taken: Counter[str] = Counter()
    nodes, unsupported = [], []
    for index, proto in enumerate(graph.node):
        name = proto.name or f"{proto.op_type.lower()}_{index}"
        taken[name] += 1
        if taken[name] > 1:
            name = f"{name}_{index}"
        reason = None
        if proto.domain not in ("", "ai.onnx"):
            reason = f"operator of another domain, {proto.domain}"
        elif any(a.type in (a.GRAPH, a.GRAPHS) for a in proto.attribute):
            reason = "control flow is not supported"
        node = Node(name, proto.op_type, tuple(proto.input), tuple(proto.output))
        if reason is None:
            attributes = {a.name: _attribute(a, name) for a in proto.attribute}
            node = Node(name, proto.op_type, node.inputs, node.outputs, attributes)
            reason = unsupported_reason(node, opset)
        if reason:
            unsupported.append((name, proto.op_type, reason))
        nodes.append(node)
    if unsupported:
        raise UnsupportedOperatorError("the ONNX importer", unsupported)
    return nodes


def _attribute(proto: onnx.AttributeProto, node: str) -> Any:
    """Value of an attribute: int, float, str, list or array."""
    if proto.type == proto.TENSOR:
        return _array(proto.t, f"{node}.{proto.name}")
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return list(value) if proto.type in (proto.INTS, proto.FLOATS) else value


def _array(tensor: onnx.TensorProto, name: str) -> np.ndarray:
    """Value of a constant tensor, in a dtype that networks here may hold."""
    try:
        array = np.ascontiguousarray(numpy_helper.to_array(tensor)).reshape(tuple(tensor.dims))
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidModelError(f"weight {name!r} is damaged: {_first_line(error)}") from None
    if str(array.dtype) not in WEIGHT_DTYPES:
        raise InvalidModelError(
            f"weight {name!r} is {array.dtype}; only float32 networks run here: export in float32"
        )
    return array


def _input_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    """Name, shape and dtype of a network input; only the first dimension may be symbolic."""
    tensor = value.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        raise InvalidModelError(f"input {value.name!r} is not float32: export in float32")
    shape: list[int | None] = []
    for index, dimension in enumerate(tensor.shape.dim):
        if dimension.HasField("dim_value"):
            shape.append(dimension.dim_value)
        elif index == 0:
            shape.append(None)
        else:
            raise InvalidModelError(
                f"dimension {index} of input {value.name!r} is symbolic; only the first (the "
                "batch) may be: export with a fixed image size"
            )
    return TensorSpec(value.name, tuple(shape))


def _output_spec(value: onnx.ValueInfoProto, importer: GraphImporter) -> TensorSpec:
    """Name and inferred shape of a network output; float32 unless it is another constant."""
    if value.name not in importer.shapes:
        raise InvalidModelError(f"output {value.name!r} is made by no node")
    weight = importer.weights.get(value.name)
    dtype = "float32" if weight is None else str(weight.dtype)
    return TensorSpec(value.name, importer.shapes[value.name], dtype)


def _load_external_data(model: onnx.ModelProto, folder: Path) -> None:
    """Reads weights stored in files beside the model; refuses any outside its folder."""
    external = [t for t in model.graph.initializer if external_data_helper.uses_external_data(t)]
    for tensor in external:
        location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        file = (folder / location).resolve()
        if not location or not file.is_relative_to(folder.resolve()):
            raise InvalidModelError(
                f"weight {tensor.name!r} lies in {location!r}, outside the model's folder; "
                "export the model into one folder"
            )
        if not file.is_file():
            raise InvalidModelError(
                f"weight {tensor.name!r} lies in {file}, which is missing; copy it along"
            )
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (ValueError, onnx.checker.ValidationError) as error:
            raise InvalidModelError(
                f"weight {tensor.name!r} cannot be read from {file}: {_first_line(error)}"
            ) from None
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _node_proto(node: Node) -> onnx.NodeProto:
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


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
