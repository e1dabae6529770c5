"""columnar_nn/model/reshape_first.py: which products are rewritten, and what they give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from closeness import assert_close
from generated import normal

from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.reshape_first import reshape_before_products
from reference.evaluate import evaluate


def between(*target: int, addend: np.ndarray | None = None, **attributes: float) -> Graph:
    """Images [2, 3, 4] merged to rows [6, 4], their product with a matrix, and that reshaped."""
    weights = {
        "rows": np.array([6, 4], np.int64),
        "matrix": normal(1, 5, 4) if attributes.get("transB") else normal(1, 4, 5),
        "target": np.array(target, np.int64),
    }
    inputs: tuple[str, ...] = ("merged", "matrix")
    if addend is not None:
        weights["addend"] = addend
        inputs = (*inputs, "addend")
    nodes = (
        Node("merge", "Reshape", ("x", "rows"), ("merged",)),
        Node("gemm", "Gemm", inputs, ("product",), attributes),
        Node("part", "Reshape", ("product", "target"), ("y",)),
    )
    output = TensorSpec("y", target)
    return Graph("between", nodes, (TensorSpec("x", (2, 3, 4)),), (output,), weights)


def result(graph: Graph) -> np.ndarray:
    return evaluate(graph.nodes, graph.weights, {"x": normal(2, 2, 3, 4)}, ["y"])["y"]


@pytest.mark.parametrize(
    "graph",
    [
        between(2, 3, 5),
        between(3, 1, 2, 5, addend=normal(3, 5), transB=1),
        between(2, 3, 5, addend=normal(3, 1, 5), alpha=0.5, beta=2.0),
    ],
)
def test_rows_are_apart_before_the_product(graph: Graph) -> None:
    rewritten = reshape_before_products(graph)
    operators = [node.op_type for node in rewritten.nodes]
    assert operators[:3] == ["Reshape", "Reshape", "MatMul"]
    assert "Gemm" not in operators
    assert rewritten.nodes[-1].outputs == ("y",)
    assert_close(result(rewritten), result(graph), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "graph",
    [
        between(2, 15),
        between(6, 5),
        between(2, 3, 5, addend=normal(3, 6, 1)),
        replace(between(2, 3, 5), outputs=(TensorSpec("y", (2, 3, 5)), TensorSpec("product", ()))),
        replace(
            between(2, 3, 5),
            nodes=(*between(2, 3, 5).nodes, Node("more", "Relu", ("product",), ("z",))),
        ),
    ],
    ids=["other columns", "a matrix", "an addend of each row", "an output", "two readers"],
)
def test_others_stay(graph: Graph) -> None:
    assert reshape_before_products(graph).nodes == graph.nodes
