"""Local functions replaced by their bodies: the second step of the import.

ONNX asks that the operators of a body mean the same in the opset that the function names and in
the file's. Where they do not, ONNX Runtime reads the file's, and so does this, unless the node is
only valid in the function's own. An attribute that a call leaves out has the default that the
function gives it. The branch of an If is put in the place of the If likewise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.names import FreshNames
from columnar_nn.model.node_check import check_node
from columnar_nn.model.onnx_file import (
    AttributeReference,
    FileFunction,
    FileGraph,
    FileNode,
    OnnxFile,
    check_opset,
)

MAX_NAME = 80
"""Characters of the name of a node that was inlined, which begins with those of its calls."""

MAX_NODES = 50_000
"""Nodes that calls may become: functions that call each other twice grow without end."""


class Inliner:
    """Replaces calls by nodes, giving all that it makes names that are new in the file."""

    def __init__(self, file: OnnxFile, tensors: FreshNames, nodes: FreshNames) -> None:
        self.tensors = tensors
        self.nodes = nodes
        self._functions = file.functions
        self._opset = file.opset
        self._made = 0
        _check_calls(file)

    def flat(self, nodes: Sequence[FileNode]) -> list[FileNode]:
        """The nodes without calls of functions, but for those inside of subgraphs.

        Raises InvalidModelError if they become more than MAX_NODES, or a call does not fit.
        """
        result: list[FileNode] = []
        pending = list(reversed(nodes))
        while pending:
            node = pending.pop()
            function = self._functions.get(node.function)
            if function is None:
                result.append(node)
            else:
                pending.extend(reversed(self._body(node, function)))
        return result

    def branch(self, node: FileNode, graph: FileGraph) -> tuple[list[FileNode], dict[str, str]]:
        """The nodes of the branch that an If takes, and new names for the weights it stores."""
        if graph.inputs or len(graph.outputs) < len(node.outputs):
            raise InvalidModelError(f"node {node.name} (If): its branches do not fit it")
        names = {tensor: self.tensors.fresh(tensor) for tensor in sorted(graph.made()) if tensor}
        stored = {tensor: names[tensor] for tensor in graph.stored}
        nodes = self._copies(node, graph.nodes, graph.outputs, names, {}, set(stored))
        return nodes, stored

    def _body(self, call: FileNode, function: FileFunction) -> list[FileNode]:
        """The nodes of one call of a function."""
        check_opset(function.opset, f"function {call.op_type}")
        if len(call.inputs) > len(function.inputs) or len(call.outputs) > len(function.outputs):
            raise InvalidModelError(
                f"node {call.name} ({call.op_type}): its function takes {len(function.inputs)} "
                f"input(s) and gives {len(function.outputs)} output(s)"
            )
        inputs = (*call.inputs, *("",) * (len(function.inputs) - len(call.inputs)))
        names = dict(zip(function.inputs, inputs, strict=True))
        for node in function.nodes:
            for tensor in node.outputs:
                if tensor and tensor not in names:
                    names[tensor] = self.tensors.fresh(tensor)
        attributes = {**function.defaults, **call.attributes}
        outer = set(function.inputs)
        nodes = self._copies(call, function.nodes, function.outputs, names, attributes, outer)
        if function.opset == self._opset:
            return nodes
        return [_in_opset(node, self._opset) for node in nodes]

    def _copies(
        self,
        call: FileNode,
        body: Sequence[FileNode],
        outputs: Sequence[str],
        names: dict[str, str],
        attributes: Mapping[str, Any],
        outer: set[str],
    ) -> list[FileNode]:
        """The nodes of a body, its tensors called by `names`, its outputs as the call's are.

        What the body does not make itself, the tensors in `outer` among it, reaches an output
        through an Identity.
        """
        made = {tensor for node in body for tensor in node.outputs} - outer
        passed: list[tuple[str, str]] = []
        given: set[str] = set()
        for inner, output in zip(outputs, call.outputs, strict=False):
            if output and inner in made and inner not in given:
                names[inner] = output
                given.add(inner)
            elif output:
                passed.append((inner, output))
        self._made += _size(body) + len(passed)
        if self._made > MAX_NODES:
            raise InvalidModelError(
                f"its functions become more than {MAX_NODES:,} nodes, for one at node "
                f"{call.name} ({call.op_type}); export without functions"
            )
        copies = [
            replace(
                self._renamed(node, names, attributes),
                name=self.nodes.fresh(f"{call.name}.{node.name}"[:MAX_NAME]),
            )
            for node in body
        ]
        for inner, output in passed:
            name = self.nodes.fresh(f"{call.name}.identity"[:MAX_NAME])
            source = names.get(inner, inner)
            copies.append(FileNode(name, "Identity", "", "", call.opset, (source,), (output,), {}))
        return copies

    def _renamed(
        self, node: FileNode, names: Mapping[str, str], attributes: Mapping[str, Any]
    ) -> FileNode:
        """The node with other names of its tensors, and the attributes that it refers to."""
        values = {}
        for key, value in node.attributes.items():
            if isinstance(value, AttributeReference):
                if value.name in attributes:
                    values[key] = attributes[value.name]
            elif isinstance(value, FileGraph):
                values[key] = self._renamed_graph(value, names, attributes)
            else:
                values[key] = value
        return replace(
            node,
            inputs=_named(node.inputs, names),
            outputs=_named(node.outputs, names),
            attributes=values,
        )

    def _renamed_graph(
        self, graph: FileGraph, names: Mapping[str, str], attributes: Mapping[str, Any]
    ) -> FileGraph:
        """A subgraph; what is its own gets new names, lest it hides a tensor of outside."""
        own = {tensor: self.tensors.fresh(tensor) for tensor in sorted(graph.made()) if tensor}
        names = {**names, **own}
        return FileGraph(
            graph.name,
            _named(graph.inputs, names),
            _named(graph.outputs, names),
            tuple(self._renamed(node, names, attributes) for node in graph.nodes),
            {own[tensor]: value for tensor, value in graph.stored.items()},
        )


def _named(tensors: Iterable[str], names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(names.get(tensor, tensor) for tensor in tensors)


def _in_opset(node: FileNode, opset: int) -> FileNode:
    """The node, and those of its subgraphs, read in another opset where they are valid in it."""
    values = {
        key: replace(value, nodes=tuple(_in_opset(inner, opset) for inner in value.nodes))
        if isinstance(value, FileGraph)
        else value
        for key, value in node.attributes.items()
    }
    node = replace(node, attributes=values)
    moved = replace(node, opset=opset)
    try:
        check_node(moved)
    except InvalidModelError:
        return node
    return moved


def _size(nodes: Sequence[FileNode]) -> int:
    """The number of nodes, those of subgraphs counted."""
    return len(nodes) + sum(_size(graph.nodes) for node in nodes for graph in node.subgraphs)


def _called(nodes: Sequence[FileNode], file: OnnxFile) -> set[tuple[str, str, str]]:
    """The functions that nodes call, those in their subgraphs too."""
    called = {node.function for node in nodes if node.function in file.functions}
    for node in nodes:
        for graph in node.subgraphs:
            called |= _called(graph.nodes, file)
    return called


def _check_calls(file: OnnxFile) -> None:
    """Raises InvalidModelError for functions that call themselves or redefine an operator."""
    calls: dict[tuple[str, str, str], set[tuple[str, str, str]]] = {}
    pending = _called(file.graph.nodes, file)
    while pending:
        key = pending.pop()
        if not key[0]:
            raise InvalidModelError(
                f"function {key[1]} redefines an operator of ONNX, which runtimes read in "
                "different ways: export without functions"
            )
        if key not in calls:
            calls[key] = _called(file.functions[key].nodes, file)
            pending |= calls[key]
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        raise InvalidModelError(
            f"function {error.args[1][0][1]} calls itself: export without functions"
        ) from None
