"""Canonical forms of Resize and of Upsample, which is a Resize of older opsets.

A canonical Resize names the axes that it changes and has scales or sizes for these alone, so that
it says nothing of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Node
from columnar_nn.model.operators import with_defaults
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.shape_rules.operands import normalized_axes
from columnar_nn.model.shapes import operands_of

SIMPLE = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
"""What resizing meant before opset 11."""


def _upsample(node: Node, rewriting: Rewriting) -> list[Node]:
    attributes = dict(node.attributes)
    inputs = node.inputs
    if "scales" in attributes:  # opset 7
        scales = np.array(attributes.pop("scales"), np.float32)
        inputs = (*inputs, rewriting.add_weight(f"{node.name}.scales", scales))
    node = replace(node, op_type="Resize", inputs=inputs, attributes=attributes)
    return _of_changed_axes(_with_region(node), rewriting)


def _resize(node: Node, rewriting: Rewriting) -> list[Node]:
    return _of_changed_axes(_with_region(node) if rewriting.opset < 11 else node, rewriting)


def _with_region(node: Node) -> Node:
    """A node before opset 11, which has no region of interest: an absent one instead."""
    data, scales = node.inputs
    attributes = {**node.attributes, **SIMPLE}
    return replace(node, inputs=(data, "", scales), attributes=attributes)


def _of_changed_axes(node: Node, rewriting: Rewriting) -> list[Node]:
    """The node for the axes that it changes; one that changes none is an Identity."""
    operands = operands_of(node, rewriting.shapes, rewriting.weights)
    shape, attributes = operands.shape(0), dict(with_defaults(node).attributes)
    named = attributes.get("axes")
    axes = normalized_axes(range(len(shape)) if named is None else named, len(shape))
    region, scales, sizes = (
        None if value is None or not value.size else value
        for value in (operands.constant(i, what) for i, what in enumerate(INPUTS, start=1))
    )
    given = sizes if scales is None else scales
    crops = attributes["coordinate_transformation_mode"] == "tf_crop_and_resize"
    if (
        given is None
        or len(given) != len(axes)
        or (crops and (region is None or len(region) != 2 * len(axes)))
    ):
        raise InvalidModelError(f"its scales, sizes or region do not fit axes {axes}")
    kept = []
    for index, axis in enumerate(axes):
        same = scales[index] == 1 if scales is not None else given[index] in (0, shape[axis])
        whole = not crops or (region is not None and tuple(region[index :: len(axes)]) == (0, 1))
        if not (same and whole):
            kept.append(index)
    if attributes["keep_aspect_ratio_policy"] != "stretch":
        kept = list(range(len(axes)))  # each has a say in the scale of all
    if not kept:
        return [Node(node.name, "Identity", node.inputs[:1], node.outputs, {})]
    inputs = [node.inputs[0], "", "", ""]
    if crops and region is not None:
        chosen = region.reshape(2, -1)[:, kept].reshape(-1)
        inputs[1] = rewriting.add_weight(f"{node.name}.region", chosen.astype(np.float32))
    if scales is not None:
        chosen = scales[kept].astype(np.float32)
        inputs[2] = rewriting.add_weight(f"{node.name}.scales", chosen)
    else:
        inputs[3] = rewriting.integers(node, "sizes", [int(given[index]) for index in kept])
    attributes["axes"] = [axes[index] for index in kept]
    return [replace(node, inputs=tuple(inputs), attributes=attributes)]


INPUTS = ("the region", "the scales", "the sizes")

RESIZE_FORMS: dict[str, Callable[[Node, Rewriting], list[Node]]] = {
    "Resize": _resize,
    "Upsample": _upsample,
}
