"""What a canonical form may use while it rewrites a node of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from columnar_nn.model.node import Node, Shape


@dataclass
class Rewriting:
    """What a canonical form may use: the node's opset, shapes and constants so far.

    `add_weight(name, array)` makes a new constant and returns its name; `new_tensor(name)` and
    `new_node(name)` give names that are not taken.
    """

    opset: int
    shapes: Mapping[str, Shape]
    weights: Mapping[str, np.ndarray]
    add_weight: Callable[[str, np.ndarray], str]
    new_tensor: Callable[[str], str]
    new_node: Callable[[str], str]

    def integers(self, node: Node, what: str, values: Sequence[int]) -> str:
        """A new int64 constant called after the node and what it is for."""
        return self.add_weight(f"{node.name}.{what}", np.array(values, np.int64))
