"""Canonical forms of normalizations whose scale and bias may be shorter than what they are of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Node
from columnar_nn.model.operators import with_defaults
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.shape_rules.operands import fixed, normalized_axis


def _layer(node: Node, rewriting: Rewriting) -> list[Node]:
    """Constant scale and bias have a value for each element that is normalised."""
    shape = rewriting.shapes[node.inputs[0]]
    axis = normalized_axis(with_defaults(node).attributes["axis"], len(shape))
    inputs = list(node.inputs)
    for index, role in ((1, "scale"), (2, "bias")):
        given = rewriting.weights.get(inputs[index]) if index < len(inputs) else None
        target = tuple(fixed(size, "a normalised dimension") for size in shape[axis:])
        if given is not None and given.shape != target and given.ndim <= len(target):
            try:
                whole = np.ascontiguousarray(np.broadcast_to(given, target))
            except ValueError:
                return [node]  # the shape rule says what is wrong
            inputs[index] = rewriting.add_weight(f"{node.name}.{role}", whole)
    return [replace(node, inputs=tuple(inputs))]


def _group(node: Node, rewriting: Rewriting) -> list[Node]:
    """Before opset 21 scale and bias had a value for each group, not for each channel."""
    if rewriting.opset >= 21:
        return [node]
    groups, shape = node.attributes["num_groups"], rewriting.shapes[node.inputs[0]]
    inputs = [node.inputs[0]]
    for name, role in zip(node.inputs[1:], ("scale", "bias"), strict=True):
        given = rewriting.weights.get(name)
        if given is None or given.shape != (groups,):
            raise InvalidModelError(
                f"{role} {rewriting.shapes[name]} must be a constant, one value for each of "
                f"{groups} groups: export with opset 21"
            )
        channels = fixed(shape[1], "channels") if len(shape) > 1 else 0
        whole = np.repeat(given, channels // max(groups, 1))  # the shape rule says what is wrong
        inputs.append(rewriting.add_weight(f"{node.name}.{role}", whole))
    return [replace(node, inputs=tuple(inputs))]


NORMALIZATION_FORMS: dict[str, Callable[[Node, Rewriting], list[Node]]] = {
    "GroupNormalization": _group,
    "LayerNormalization": _layer,
}
