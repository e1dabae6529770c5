"""The canonical form of ScatterND: what Python writes as x[:, 2:5] = y."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.expressed import Chain
from columnar_nn.model.node import Node
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.shape_rules.operands import fixed


def _scatter_nd(node: Node, rewriting: Rewriting) -> list[Node]:
    """Updates gathered to their places, and a Where between them and what stays of the data.

    Where all is written over, the data is not read. Constant indices must write to each image what
    is of its own, at the same places.
    """
    data, index_name, updates = node.inputs
    reduction = node.attributes.get("reduction", "none")
    if reduction != "none":
        raise InvalidModelError(f"reduction {reduction!r} is not supported")
    indices = rewriting.weights.get(index_name)
    if indices is None:
        raise InvalidModelError("its indices are computed at run time; they must be constants")
    shape = [fixed(size, f"axis {axis}") for axis, size in enumerate(rewriting.shapes[data])]
    given = [fixed(size, "a dimension of the updates") for size in rewriting.shapes[updates]]
    first, *others = _written(shape, indices, given).reshape(shape[0], -1)
    if given[:1] != shape[:1]:
        raise InvalidModelError(f"updates {given} are not of {shape[0]} images")
    size = math.prod(given[1:])
    for image, row in enumerate(others, start=1):
        if not np.array_equal(row, np.where(first < 0, -1, first + image * size)):
            raise InvalidModelError("it writes to the images of a batch in different ways")
    chain = Chain(replace(node, inputs=(updates,)), rewriting)
    if not np.array_equal(first, np.arange(size)):
        chain.reshape("flat", [0, size])
        places = rewriting.integers(node, "places", np.maximum(first, 0).tolist())
        chain.add("Gather", "placed", places, axis=1)
    chain.reshape("shape", [0, *shape[1:]])
    if first.min() >= 0:
        return chain.end()
    mask = rewriting.add_weight(f"{node.name}.written", (first >= 0).reshape(1, *shape[1:]))
    return [*chain.nodes, Node(node.name, "Where", (mask, chain.tensor, data), node.outputs, {})]


def _written(shape: list[int], indices: np.ndarray, updates: list[int]) -> np.ndarray:
    """Which element of the updates is written to each of the data; -1 to those that stay.

    Raises InvalidModelError for operands that do not fit together.
    """
    *many, depth = indices.shape or (0,)
    if not 0 < depth <= len(shape) or updates != [*many, *shape[depth:]]:
        raise InvalidModelError(f"indices {indices.shape} and updates {updates} do not fit {shape}")
    sizes = np.array(shape[:depth])
    if (indices < -sizes).any() or (indices >= sizes).any():
        raise InvalidModelError(f"an index is outside of the data, {shape}")
    blocks = np.full(shape[:depth], -1, np.int64)
    numbers = np.arange(math.prod(many)).reshape(many)
    blocks[tuple(np.moveaxis(indices % sizes, -1, 0))] = numbers
    inner = math.prod(shape[depth:])
    elements = blocks[..., np.newaxis] * inner + np.arange(inner)
    return np.where(blocks[..., np.newaxis] < 0, -1, elements)


SCATTER_FORMS: dict[str, Callable[[Node, Rewriting], list[Node]]] = {"ScatterND": _scatter_nd}
