"""Canonical forms of LpPool and GlobalLpPool: the root of a sum of powers of absolute values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.expressed import Chain
from columnar_nn.model.node import Node
from columnar_nn.model.operators import with_defaults
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.shape_rules.operands import fixed
from columnar_nn.model.shape_rules.window import pool_window
from columnar_nn.model.shapes import operands_of


def _norm(node: Node, rewriting: Rewriting, add_sum: Callable[[Chain], None]) -> list[Node]:
    """The norm of order p, 2 if it is not given, of what `add_sum` makes sums of."""
    order = float(node.attributes.get("p", 2))
    if not (math.isfinite(order) and order > 0):
        raise InvalidModelError(f"p is {order:g}, and the order of a norm is above 0")

    def constant(role: str, value: float) -> str:
        return rewriting.add_weight(f"{node.name}.{role}", np.array(value, np.float32))

    chain = Chain(node, rewriting)
    if order == 2:
        chain.add("Mul", "squares", chain.tensor)
        add_sum(chain)
        chain.add("Sqrt", "norm")
        return chain.end()
    chain.add("Abs", "sizes")
    if order == 1:
        add_sum(chain)
        return chain.end()
    chain.add("Pow", "powers", constant("order", order))
    add_sum(chain)
    chain.add("Pow", "norm", constant("root", 1 / order))
    return chain.end()


def _lp_pool(node: Node, rewriting: Rewriting) -> list[Node]:
    """Sums of windows are their means, times the size of a window.

    A last window of ceil_mode that reaches beyond the image has zeros there.
    """
    pool = with_defaults(replace(node, op_type="AveragePool", inputs=node.inputs[:1]))
    window = pool_window(operands_of(pool, rewriting.shapes, rewriting.weights))
    begins, ends = window.pads[: len(window.output)], []
    for i, size in enumerate(rewriting.shapes[node.inputs[0]][2:]):
        extent = (window.kernel_shape[i] - 1) * window.dilations[i] + 1
        reach = (window.output[i] - 1) * window.strides[i] + extent
        ends.append(max(0, reach - fixed(size, "an axis") - begins[i]))
    geometry = {
        "kernel_shape": list(window.kernel_shape),
        "strides": list(window.strides),
        "dilations": list(window.dilations),
        "pads": [*begins, *ends],
    }

    def add_sum(chain: Chain) -> None:
        count = np.array(math.prod(window.kernel_shape), np.float32)
        chain.add("AveragePool", "means", count_include_pad=1, **geometry)
        chain.add("Mul", "sums", rewriting.add_weight(f"{node.name}.count", count))

    return _norm(node, rewriting, add_sum)


def _global_lp_pool(node: Node, rewriting: Rewriting) -> list[Node]:
    axes = range(2, len(rewriting.shapes[node.inputs[0]]))

    def add_sum(chain: Chain) -> None:
        chain.add("ReduceSum", "sum", rewriting.integers(node, "axes", axes), keepdims=1)

    return _norm(node, rewriting, add_sum)


LP_POOL_FORMS: dict[str, Callable[[Node, Rewriting], list[Node]]] = {
    "GlobalLpPool": _global_lp_pool,
    "LpPool": _lp_pool,
}
