"""What no output needs, left out: the third step of the import, from the outputs backwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from columnar_nn.model.onnx_file import FileNode


class ReadingNode(Protocol):
    """A node that names the tensors which it makes and needs."""

    @property
    def outputs(self) -> Sequence[str]: ...
    def reads(self) -> Iterable[str]: ...


N = TypeVar("N", bound=ReadingNode)


def needed_nodes(nodes: Sequence[N], outputs: Iterable[str]) -> list[N]:
    """The nodes that the tensors called `outputs` need, in their order."""
    needed = set(outputs)
    kept: list[N] = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.reads())
    return kept[::-1]


def without_unread_outputs(nodes: Sequence[FileNode], outputs: Iterable[str]) -> list[FileNode]:
    """The nodes, optional outputs that nothing reads (a Dropout's mask) blanked out.

    Those of a BatchNormalization before opset 14 stay, by which it was told to train.
    """
    read = set(outputs)
    for node in nodes:
        read.update(node.reads())

    def read_or_first(node: FileNode) -> tuple[str, ...]:
        if node.op_type == "BatchNormalization" and node.opset < 14:
            return node.outputs
        return (*node.outputs[:1], *(t if t in read else "" for t in node.outputs[1:]))

    return [replace(node, outputs=read_or_first(node)) for node in nodes]
