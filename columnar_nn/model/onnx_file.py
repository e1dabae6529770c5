"""What an ONNX file says, as plain values: the first step of the import.

Names are decoded, control characters in them escaped, and nodes know the opset that they are
written in; the values of tensors stay as they are stored until they are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx
from onnx import helper

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.names import FreshNames

Stored = onnx.TensorProto | onnx.SparseTensorProto
"""The value of a tensor as a file stores it; `model.stored_tensors` reads it."""

_NOT_UTF_8 = "not a valid ONNX model: a name in it is not UTF-8"


@dataclass(frozen=True)
class AttributeReference:
    """The value of an attribute inside a function: that of the call's attribute `name`."""

    name: str


@dataclass(frozen=True)
class FileNode:
    """A node of a file. `domain` is "" for ONNX's own operators, and `opset` theirs.

    Values of attributes are int, float, str, a list of these, Stored, FileGraph or
    AttributeReference. An absent input or output is the empty string.
    """

    name: str
    op_type: str
    domain: str
    overload: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def function(self) -> tuple[str, str, str]:
        """The key of the local function that this node calls, if there is one."""
        return self.domain, self.op_type, self.overload

    @property
    def custom(self) -> str:
        """What the operator is called where a user has declared it."""
        return f"{self.domain}::{self.op_type}"

    @property
    def subgraphs(self) -> tuple[FileGraph, ...]:
        """The graphs that its attributes hold, such as the branches of an If."""
        return tuple(v for v in self.attributes.values() if isinstance(v, FileGraph))

    def reads(self) -> Iterator[str]:
        """The tensors that the node needs, those that its subgraphs take from outside too."""
        yield from filter(None, self.inputs)
        for subgraph in self.subgraphs:
            yield from subgraph.captured()


@dataclass(frozen=True)
class FileGraph:
    """A graph of a file: `inputs` and `outputs` by name, in order; `stored` its initialisers."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[FileNode, ...]
    stored: Mapping[str, Stored]

    def made(self) -> set[str]:
        """The tensors that belong to the graph itself."""
        outputs = {tensor for node in self.nodes for tensor in node.outputs if tensor}
        return outputs.union(self.inputs, self.stored)

    def captured(self) -> set[str]:
        """The tensors of the graphs around it that it reads."""
        read = {tensor for node in self.nodes for tensor in node.reads()}
        return read.union(self.outputs) - self.made()

    def names(self) -> Iterator[str]:
        """Every name of a tensor, those of subgraphs too."""
        yield from self.inputs
        yield from self.outputs
        yield from self.stored
        for node in self.nodes:
            yield from node.inputs
            yield from node.outputs
            for subgraph in node.subgraphs:
                yield from subgraph.names()


@dataclass(frozen=True)
class FileFunction:
    """A local function: names of its inputs and outputs, its body, its attributes' defaults."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[FileNode, ...]
    defaults: Mapping[str, Any]
    opset: int


@dataclass(frozen=True)
class OnnxFile:
    """A whole file: its graph, the types of the graph's inputs, and its functions by key."""

    graph: FileGraph
    inputs: tuple[onnx.ValueInfoProto, ...]
    functions: Mapping[tuple[str, str, str], FileFunction]
    opset: int


def read(model: onnx.ModelProto) -> OnnxFile:
    """The contents of a file; raises InvalidModelError where they are no valid ONNX.

    An opset that is newer than the installed onnx package is refused: what its operators mean
    is not known.
    """
    if not model.HasField("graph") or not model.graph.node:
        raise InvalidModelError("the file holds no network; download or export it again")
    try:
        opset = _opset(model.opset_import, 1)
        check_opset(opset)
        return OnnxFile(
            _printable(_graph(model.graph, opset)),
            tuple(model.graph.input),
            {(_domain(f.domain), f.name, f.overload): _function(f, opset) for f in model.functions},
            opset,
        )
    except UnicodeDecodeError:
        raise InvalidModelError(_NOT_UTF_8) from None


def with_unique_names(nodes: Sequence[FileNode], names: FreshNames) -> list[FileNode]:
    """The nodes; one whose name another bears before it gets its place in the file behind it."""
    first = {name: names.fresh(name) for name in dict.fromkeys(node.name for node in nodes)}
    result = []
    for index, node in enumerate(nodes):
        name = first.pop(node.name, "") or names.fresh(f"{node.name}_{index}")
        result.append(replace(node, name=name))
    return result


def check_opset(opset: int, what: str = "the file") -> None:
    """Raises InvalidModelError for an opset that the installed onnx package does not know."""
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= opset <= newest:
        raise InvalidModelError(
            f"{what} is written in opset {opset}; the installed onnx {onnx.__version__} knows 1 "
            f"to {newest}: install a newer onnx, or export with an older opset"
        )


def _opset(imports: Iterable[onnx.OperatorSetIdProto], default: int) -> int:
    return max((o.version for o in imports if _domain(o.domain) == ""), default=default)


def _domain(domain: str) -> str:
    """ONNX's own operators have two names of their domain."""
    return "" if domain == "ai.onnx" else domain


def _function(proto: onnx.FunctionProto, opset: int) -> FileFunction:
    opset = _opset(proto.opset_import, opset)
    return FileFunction(
        _texts(proto.input),
        _texts(proto.output),
        tuple(_node(node, index, opset) for index, node in enumerate(proto.node)),
        {a.name: _attribute(a, opset) for a in proto.attribute_proto},
        opset,
    )


def _graph(proto: onnx.GraphProto, opset: int) -> FileGraph:
    stored: dict[str, Stored] = {}
    for name, value in (
        *((tensor.name, tensor) for tensor in proto.initializer),
        *((tensor.values.name, tensor) for tensor in proto.sparse_initializer),
    ):
        if not name:  # nothing can read it
            continue
        if name in stored:
            raise InvalidModelError(f"weight {name!r} is stored twice: give each its own name")
        stored[name] = value
    _texts((proto.name, *stored))
    return FileGraph(
        proto.name,
        _texts(value.name for value in proto.input),
        _texts(value.name for value in proto.output),
        tuple(_node(node, index, opset) for index, node in enumerate(proto.node)),
        stored,
    )


def _printable(graph: FileGraph) -> FileGraph:
    """The graph with names that can be printed, each still unlike all others."""
    names = dict.fromkeys(graph.names())
    if all(map(str.isprintable, names)):
        return graph
    fresh = FreshNames(name for name in names if name.isprintable())
    return _renamed(graph, {n: fresh.fresh(n) for n in names if not n.isprintable()})


def _renamed(graph: FileGraph, names: Mapping[str, str]) -> FileGraph:
    def of(tensors: Iterable[str]) -> tuple[str, ...]:
        return tuple(names.get(tensor, tensor) for tensor in tensors)

    nodes = []
    for node in graph.nodes:
        values = {
            key: _renamed(value, names) if isinstance(value, FileGraph) else value
            for key, value in node.attributes.items()
        }
        edges = (of(node.inputs), of(node.outputs))
        nodes.append(replace(node, inputs=edges[0], outputs=edges[1], attributes=values))
    stored = dict(zip(of(graph.stored), graph.stored.values(), strict=True))
    return FileGraph(graph.name, of(graph.inputs), of(graph.outputs), tuple(nodes), stored)


def _node(proto: onnx.NodeProto, index: int, opset: int) -> FileNode:
    _texts((proto.name, proto.op_type, proto.domain, proto.overload))
    return FileNode(
        proto.name or f"{proto.op_type.lower()}_{index}",
        proto.op_type,
        _domain(proto.domain),
        proto.overload,
        opset,
        _texts(proto.input),
        _texts(proto.output),
        {_texts((a.name,))[0]: _attribute(a, opset) for a in proto.attribute},
    )


def _texts(strings: Iterable[str]) -> tuple[str, ...]:
    """The strings, which protobuf gives out as bytes, or raises an error, if they are not UTF-8."""
    texts = tuple(strings)
    if not all(isinstance(text, str) for text in texts):
        raise InvalidModelError(_NOT_UTF_8)
    return texts


def _attribute(proto: onnx.AttributeProto, opset: int) -> Any:
    """Value of an attribute, as FileNode says."""
    if proto.ref_attr_name:
        return AttributeReference(proto.ref_attr_name)
    if proto.type == proto.GRAPH:
        return _graph(proto.g, opset)
    try:
        value = helper.get_attribute_value(proto)
    except ValueError:
        raise InvalidModelError(f"attribute {proto.name!r} has no type: export again") from None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if proto.type == proto.STRINGS:
        return [text.decode(errors="replace") for text in value]
    return list(value) if isinstance(value, Sequence) else value
