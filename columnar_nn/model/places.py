"""The places that ArgMax and ArgMin find as float32, for what goes on to calculate with them."""

from __future__ import annotations

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.expressed import Chain
from columnar_nn.model.node import Node
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.shape_rules.operands import fixed, normalized_axis

_MOST = 2**24
"""Places that float32 tells apart."""


def places_as_numbers(node: Node, rewriting: Rewriting) -> list[Node]:
    """What a canonical ArgMax or ArgMin makes, in float32.

    That is the sum of all places, each times 1 where the extreme is, and 0 elsewhere. Raises
    InvalidModelError for places that float32 does not tell apart.
    """
    shape = rewriting.shapes[node.inputs[0]]
    axis = normalized_axis(node.attributes["axis"], len(shape))
    size = fixed(shape[axis], f"axis {axis}")
    if size > _MOST:
        raise InvalidModelError(f"{size:,} places are no float32 numbers: export without the Cast")
    chain = Chain(node, rewriting)
    places = np.arange(size, dtype=np.float32)
    if node.op_type == "ArgMin":
        chain.add("Neg", "negated")
    if node.attributes["select_last_index"]:
        places = places[::-1]
        backwards = {"starts": -1, "ends": -size - 1, "axes": axis, "steps": -1}
        names = (rewriting.integers(node, what, [value]) for what, value in backwards.items())
        chain.add("Slice", "backwards", *names)
    chain.add("Hardmax", "found", axis=axis)
    aligned = [size if place == axis else 1 for place in range(len(shape))]
    chain.add("Mul", "places", rewriting.add_weight(f"{node.name}.places", places.reshape(aligned)))
    axes = rewriting.integers(node, "axis", [axis])
    chain.add("ReduceSum", "place", axes, keepdims=node.attributes["keepdims"])
    return chain.end()
