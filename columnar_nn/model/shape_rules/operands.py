"""What a shape rule may look at: a node, the shapes of its inputs, and the constant ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Node, Shape

FIXED_BATCH = "export with a fixed batch size"
"""What helps a network that needs to know how many images there are, or mixes them."""


@dataclass(frozen=True)
class Operands:
    """A node with its input shapes and constant values, None where an input is absent.

    `shapes[i]` is None for an absent optional input, `constants[i]` also for one computed at
    run time. The methods raise InvalidModelError; whoever calls the rule adds the node's name.
    """

    node: Node
    shapes: Sequence[Shape | None]
    constants: Sequence[np.ndarray | None]

    def attribute(self, name: str) -> Any:
        """The attribute called `name`, which a canonical node has (`operators.with_defaults`)."""
        return self.node.attributes[name]

    def integers(self, name: str, default: Sequence[int]) -> list[int]:
        """A list-of-integers attribute, checked to have as many entries as `default`."""
        values = [int(v) for v in self.node.attributes.get(name, default)]
        if len(values) != len(default):
            raise InvalidModelError(f"{name} has {len(values)} entries, needs {len(default)}")
        return values

    def present(self, index: int) -> bool:
        """Whether the input at `index` was given."""
        return index < len(self.shapes) and self.shapes[index] is not None

    def shape(self, index: int) -> Shape:
        """Shape of the required input at `index`."""
        shape = self.shapes[index] if index < len(self.shapes) else None
        if shape is None:
            raise InvalidModelError(f"input {index} is missing")
        return shape

    def given_shapes(self) -> list[Shape]:
        """Shapes of all the inputs that were given, in order."""
        return [shape for shape in self.shapes if shape is not None]

    def constant(self, index: int, what: str) -> np.ndarray | None:
        """Value of an optional constant input; None if absent; `what` names it in the error."""
        if not self.present(index):
            return None
        value = self.constants[index]
        if value is None:
            raise InvalidModelError(f"{what} is computed at run time; it must be a constant")
        return value

    def integer_input(self, index: int, what: str) -> list[int] | None:
        """Value of an optional constant input that is a scalar or list of integers."""
        value = self.constant(index, what)
        return None if value is None else [int(v) for v in value.reshape(-1)]


def normalized_axis(axis: int, rank: int) -> int:
    """`axis` counted from the front; raises InvalidModelError outside [-rank, rank)."""
    if not -rank <= axis < rank:
        raise InvalidModelError(f"axis {axis} is out of range for rank {rank}")
    return axis % rank


def normalized_axes(axes: Sequence[int], rank: int) -> list[int]:
    """Several axes counted from the front; raises InvalidModelError for a repeated one."""
    normalized = [normalized_axis(axis, rank) for axis in axes]
    if len(set(normalized)) != len(normalized):
        raise InvalidModelError(f"axes {list(axes)} name a dimension twice")
    return normalized


def fixed(dimension: int | None, what: str) -> int:
    """A dimension that must not be the symbolic batch."""
    if dimension is None:
        raise InvalidModelError(
            f"{what} is the symbolic batch dimension, but must be fixed; {FIXED_BATCH}"
        )
    return dimension
