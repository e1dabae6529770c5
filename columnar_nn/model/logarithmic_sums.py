"""Canonical forms of ReduceLogSum and ReduceLogSumExp: a ReduceSum and what is around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from columnar_nn.model.expressed import Chain
from columnar_nn.model.node import Node
from columnar_nn.model.operators import with_defaults
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.shapes import operands_of

_LARGEST = np.finfo(np.float32).max


def _sum(node: Node, rewriting: Rewriting) -> tuple[list[int], tuple[str, ...], dict[str, int]]:
    """The axes of a reduction, the constants that name them, and the attributes of its ReduceSum.

    Axes are an attribute before opset 18, and all where none is named; see noop_with_empty_axes.
    """
    named = node.attributes.get("axes")
    if named is None:
        named = operands_of(node, rewriting.shapes, rewriting.weights).integer_input(1, "axes")
    constants = (rewriting.integers(node, "axes", named),) if named else ()
    attributes = with_defaults(Node("", "ReduceSum", (), (), node.attributes)).attributes
    attributes = {name: attributes[name] for name in ("keepdims", "noop_with_empty_axes")}
    if not named and not attributes["noop_with_empty_axes"]:
        named = list(range(len(rewriting.shapes[node.inputs[0]])))
    return list(named or ()), constants, attributes


def _log_sum(node: Node, rewriting: Rewriting) -> list[Node]:
    _, names, attributes = _sum(node, rewriting)
    chain = Chain(node, rewriting)
    chain.add("ReduceSum", "sum", *names, **attributes)
    chain.add("Log", "logarithm")
    return chain.end()


def _log_sum_exp(node: Node, rewriting: Rewriting) -> list[Node]:
    """Exponentials of what the greatest leaves, which is added to the logarithm of their sum.

    Where that is infinite, the largest number takes its place: infinity less itself is none.
    """
    axes, names, attributes = _sum(node, rewriting)
    kept = {**attributes, "keepdims": 1}
    greatest, rest = Chain(node, rewriting), Chain(node, rewriting)
    greatest.add("ReduceMax", "greatest", *names, **kept)
    bounds = {"least": -_LARGEST, "most": _LARGEST}
    limits = [
        rewriting.add_weight(f"{node.name}.{role}", np.array(b)) for role, b in bounds.items()
    ]
    greatest.add("Clip", "finite", *limits)
    rest.add("Sub", "rest", greatest.tensor)
    rest.add("Exp", "exponentials")
    rest.add("ReduceSum", "sum", *names, **kept)
    rest.add("Log", "logarithm")
    rest.add("Add", "kept", greatest.tensor)
    if axes and not attributes["keepdims"]:
        rest.add("Squeeze", "squeezed", rewriting.integers(node, "squeezed", axes))
    return [*greatest.nodes, *rest.end()]


LOGARITHMIC_FORMS: dict[str, Callable[[Node, Rewriting], list[Node]]] = {
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
}
