"""The framework-neutral network: ONNX operators on named tensors, a directed acyclic graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Node, Shape, TensorSpec
from columnar_nn.model.operators import with_defaults
from columnar_nn.shown import Shown, line

__all__ = ["Graph", "Node", "Shape", "TensorSpec"]


@dataclass(frozen=True, repr=False)
class Graph(Shown):
    """A network: nodes in topological order, its inputs and outputs, and its weights.

    Every attribute that has a default in ONNX is present in its node: the constructor adds those
    that were left out. `weights` maps a tensor name to its constant array (ONNX initializers).
    `file` is the path of the ONNX file that it was read from, empty if it was made in code, and
    `metadata` what that file says of itself, `precision` the type that it computes in, which here
    is float32. Raises InvalidModelError when a tensor is read before
    it is made, or made twice.
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: Mapping[str, np.ndarray]
    file: str = field(default="", compare=False)
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)
    precision: str = field(default="float32", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(map(with_defaults, self.nodes)))
        known = {spec.name for spec in self.inputs} | set(self.weights)
        for node in self.nodes:
            for tensor in node.inputs:
                if tensor and tensor not in known:
                    raise InvalidModelError(
                        f"node {node.name} ({node.op_type}) reads {tensor!r}, which nothing "
                        "before it makes: check the model's edges and order"
                    )
            for tensor in node.outputs:
                if tensor in known:
                    raise InvalidModelError(
                        f"node {node.name} ({node.op_type}) makes {tensor!r} a second time: "
                        "every tensor needs a name of its own"
                    )
                if tensor:
                    known.add(tensor)
        for spec in self.outputs:
            if spec.name not in known:
                raise InvalidModelError(f"output {spec.name!r} is made by no node")

    def __repr__(self) -> str:
        ends = (", ".join(map(str, specs)) for specs in (self.inputs, self.outputs))
        counts = f"{len(self.nodes)} nodes, {self.num_parameters():,} parameters"
        return line(f"Graph {self.name}:", f"{counts}, {' -> '.join(ends)}")

    @property
    def batch(self) -> int | None:
        """Images of every run of a network that is tied to so many; None if it takes any number."""
        first = self.inputs[0].shape[:1] if self.inputs else ()
        return first[0] if first else None

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """The column of a batch that each input is read from, by the input's name, in their order.

        That is `image` of a network with one input; several are read from columns of their names.
        """
        names = [spec.name for spec in self.inputs]
        return dict(zip(names, ["image"] if len(names) == 1 else names, strict=True))

    def producer(self, tensor: str) -> Node | None:
        """The node that makes `tensor`, or None for an input or a weight."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read `tensor`, in topological order."""
        return tuple(self._consumers.get(tensor, ()))

    @cached_property
    def _producers(self) -> Mapping[str, Node]:
        return {tensor: node for node in self.nodes for tensor in node.outputs if tensor}

    @cached_property
    def _consumers(self) -> Mapping[str, Sequence[Node]]:
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for tensor in dict.fromkeys(node.inputs):
                readers.setdefault(tensor, []).append(node)
        return readers

    def num_parameters(self) -> int:
        """Number of elements of floating-point weights; a scalar, such as a bound, is none."""
        return sum(w.size for w in self.weights.values() if w.dtype.kind == "f" and w.ndim)

    def with_outputs(self, specs: Sequence[TensorSpec]) -> Graph:
        """The same network with other tensors as outputs; nodes they do not need are dropped."""
        needed = {spec.name for spec in specs}
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        return replace(
            self,
            nodes=tuple(reversed(kept)),
            outputs=tuple(specs),
            weights={name: w for name, w in self.weights.items() if name in needed},
        )
