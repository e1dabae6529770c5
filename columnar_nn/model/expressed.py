"""Operators that others express at import, whichever backend runs them.

GatherElements is a Gather from a flat tensor, DepthToSpace and SpaceToDepth are a Transpose between
two Reshapes, Einsum (`model.einsum`) is products of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.einsum import einsum
from columnar_nn.model.node import Node, Shape
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.shape_rules.operands import fixed, normalized_axis


class Chain:
    """Nodes of which each reads what the one before makes; the last makes the node's output."""

    def __init__(self, node: Node, rewriting: Rewriting) -> None:
        self.nodes: list[Node] = []
        self._node, self._rewriting = node, rewriting
        self.tensor = node.inputs[0]
        """What the last node makes; before the first, what that one will read."""

    def add(self, op_type: str, role: str, *operands: str, **attributes: object) -> None:
        """A node of what the last one makes, and constants by name."""
        tensor = self._rewriting.new_tensor(f"{self._node.outputs[0]}.{role}")
        name = self._rewriting.new_node(f"{self._node.name}.{role}")
        inputs = (self.tensor, *operands)
        self.nodes.append(Node(name, op_type, inputs, (tensor,), dict(attributes)))
        self.tensor = tensor

    def reshape(self, role: str, shape: Sequence[int]) -> None:
        """A Reshape, in whose target 0 is a dimension as it is."""
        self.add("Reshape", role, self._rewriting.integers(self._node, role, shape))

    def end(self) -> list[Node]:
        """All nodes, the last one under the name of the node that they express."""
        last = replace(self.nodes[-1], name=self._node.name, outputs=self._node.outputs)
        return [*self.nodes[:-1], last]


def _gather_elements(node: Node, rewriting: Rewriting) -> list[Node]:
    """From each image alike if one row of indices serves all, else from the whole tensor."""
    data, index_name = node.inputs
    shape, indices = rewriting.shapes[data], rewriting.weights.get(index_name)
    if indices is None:
        raise InvalidModelError("its indices are computed at run time; they must be constants")
    axis = normalized_axis(node.attributes.get("axis", 0), len(shape))
    size = fixed(shape[axis], f"axis {axis}")
    if (
        indices.ndim != len(shape)
        or (indices.size and not -size <= indices.min() <= indices.max() < size)
        or _reach_beyond(indices.shape, shape, axis)
    ):
        raise InvalidModelError(f"indices {indices.shape} do not fit {shape}, or reach outside")
    of_rows = axis > 0 and indices.shape[0] in (1, shape[0]) and _alike(indices)
    if not of_rows and shape[0] is None:
        raise InvalidModelError("its indices differ from image to image; export a fixed batch")
    first = int(of_rows)
    row = [fixed(d, "a dimension") for d in shape[first:]]
    picked = indices[0] if of_rows else indices
    places = list(np.indices(picked.shape))
    places[axis - first] = picked % size
    strides = [math.prod(row[place + 1 :]) for place in range(len(row))]
    flat = sum(place * stride for place, stride in zip(places, strides, strict=True))
    chain = Chain(node, rewriting)
    chain.reshape("flat", [0, math.prod(row)] if of_rows else [math.prod(row)])
    chain.add(
        "Gather",
        "picked",
        rewriting.integers(node, "places", np.ravel(flat).tolist()),
        axis=first,
    )
    chain.reshape("shape", [0, *picked.shape] if of_rows else list(picked.shape))
    return chain.end()


def _reach_beyond(indices: Sequence[int], shape: Shape, axis: int) -> bool:
    """Whether there are indices where the data has no row, of other axes than that picked from."""
    sizes = enumerate(zip(indices, shape, strict=True))
    return any(
        place != axis and size is not None and count > size for place, (count, size) in sizes
    )


def _alike(indices: np.ndarray) -> bool:
    return bool((indices == indices[:1]).all())


def _blocks(node: Node, rewriting: Rewriting) -> tuple[int, list[int]]:
    """Size of a block, and channels, height and width, of DepthToSpace and SpaceToDepth."""
    size, shape = node.attributes["blocksize"], rewriting.shapes[node.inputs[0]]
    if len(shape) != 4 or size < 1:
        raise InvalidModelError(f"blocks of {size} in {shape}, which is not [N, C, H, W]")
    return size, [fixed(dimension, "a dimension of the image") for dimension in shape[1:]]


def _depth_to_space(node: Node, rewriting: Rewriting) -> list[Node]:
    """Channels become pixels: in mode DCR the block's place is before the channel, in CRD after."""
    size, (channels, height, width) = _blocks(node, rewriting)
    kept = channels // size**2
    if kept * size**2 != channels:
        raise InvalidModelError(f"{channels} channels are not blocks of {size} x {size}")
    before = node.attributes.get("mode", "DCR") == "DCR"
    apart = [size, size, kept] if before else [kept, size, size]
    chain = Chain(node, rewriting)
    chain.reshape("blocks", [0, *apart, height, width])
    chain.add("Transpose", "moved", perm=[0, 3, 4, 1, 5, 2] if before else [0, 1, 4, 2, 5, 3])
    chain.reshape("image", [0, kept, height * size, width * size])
    return chain.end()


def _space_to_depth(node: Node, rewriting: Rewriting) -> list[Node]:
    """Pixels become channels, the block's place before the channel, in mode CRD after."""
    size, (channels, height, width) = _blocks(node, rewriting)
    if height % size or width % size:
        raise InvalidModelError(f"an image of {height} x {width} is not blocks of {size} x {size}")
    chain = Chain(node, rewriting)
    chain.reshape("blocks", [0, channels, height // size, size, width // size, size])
    before = node.attributes.get("mode", "DCR") == "DCR"
    chain.add("Transpose", "moved", perm=[0, 3, 5, 1, 2, 4] if before else [0, 1, 3, 5, 2, 4])
    chain.reshape("image", [0, channels * size**2, height // size, width // size])
    return chain.end()


EXPRESSED_FORMS: dict[str, Callable[[Node, Rewriting], list[Node]]] = {
    "DepthToSpace": _depth_to_space,
    "Einsum": einsum,
    "GatherElements": _gather_elements,
    "SpaceToDepth": _space_to_depth,
}
"""Canonical forms of operators that have no line in `model.operators`."""
