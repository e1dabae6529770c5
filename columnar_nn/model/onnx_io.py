"""ONNX files read into graphs in canonical form, and graphs written back.

What reads one is `import_pipeline`, which is loaded when it is asked for: engines that are given a
model only write one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from columnar_nn.model.graph import Graph, Node, Shape
from columnar_nn.model.input_shapes import Sizes
from columnar_nn.model.judge import judge_inputs
from columnar_nn.model.operators import OPSET, is_custom
from columnar_nn.model.shapes import infer_shapes

if TYPE_CHECKING:
    from columnar_nn.model.stored_tensors import StoredTensors

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
    from columnar_nn.model.stored_tensors import StoredTensors

    stored = StoredTensors(path.parent, len(content), path)
    shapes = input_shapes or {}
    graph = _of_content(content, stored, str(path), path.stem, without, shapes, batch)
    return replace(graph, file=str(path.absolute()))


def load_bytes(content: bytes, batch: int | None = None) -> Graph:
    """The network in what an ONNX file holds, as `load` reads the file, and raising as it does.

    There is no folder that other files could lie in: all of its weights must be inside.
    """
    from columnar_nn.model.stored_tensors import StoredTensors

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
    from columnar_nn.model.import_pipeline import imported

    if content.startswith(b"version https://git-lfs"):
        raise InvalidModelError(f"{what}: Git LFS's pointer to an ONNX file: git lfs pull gets it")
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        raise InvalidModelError(
            f"{what}: truncated or not an ONNX file; download or export it again"
        ) from None
    try:
        graph = imported(model, stored, name, without, input_shapes, batch)
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
    from columnar_nn.model.import_pipeline import imported
    from columnar_nn.model.stored_tensors import StoredTensors

    return imported(model, StoredTensors(folder, model.ByteSize()), name, without, {}, None)


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
