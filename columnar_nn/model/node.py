"""One operator of a network and the tensors that enter or leave it, with ONNX's meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from columnar_nn.shown import line

Shape = tuple[int | None, ...]
"""Dimensions of a tensor; None is the symbolic batch dimension."""


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape in one word, as Nx3x32x32."""
    return "x".join("N" if size is None else str(size) for size in shape)


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and NumPy dtype name of a tensor that enters or leaves a graph."""

    name: str
    shape: Shape
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.name} {shape_text(self.shape)}"


@dataclass(frozen=True, repr=False)
class Node:
    """One operator: ONNX name, inputs, outputs and attributes, with ONNX semantics.

    An absent optional input is the empty string, as in ONNX.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        call = f"{self.op_type}({', '.join(self.inputs)})"
        return line(f"Node {self.name}:", f"{call} -> {', '.join(self.outputs)}")

    def reads(self) -> Iterator[str]:
        """The tensors that the node needs."""
        return filter(None, self.inputs)
