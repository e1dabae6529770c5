"""columnar_nn/model/truth_outputs.py: outputs of truth values become numbers, names stay."""

from __future__ import annotations

import numpy as np
from closeness import assert_close
from generated import normal

from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.truth_outputs import truths_as_numbers
from reference.evaluate import evaluate

IMAGES = normal(0, 4, 3)


def compared(outputs: dict[str, str]) -> Graph:
    """x > 0, and x where it is, else 0."""
    nodes = (
        Node("compare", "Greater", ("x", "zero"), ("larger",)),
        Node("choose", "Where", ("larger", "x", "zero"), ("relu",)),
    )
    specs = tuple(TensorSpec(name, (None, 3), dtype) for name, dtype in outputs.items())
    weights = {"zero": np.float32(0), "true": np.float32(7)}
    return Graph("g", nodes, (TensorSpec("x", (None, 3)),), specs, weights)


def test_truth_values_are_one_and_zero_under_their_name() -> None:
    graph = truths_as_numbers(compared({"larger": "bool", "relu": "float32", "true": "float32"}))
    assert [(spec.name, spec.dtype) for spec in graph.outputs] == [
        ("larger", "float32"), ("relu", "float32"), ("true", "float32")]  # fmt: skip
    found = evaluate(graph.nodes, graph.weights, {"x": IMAGES}, ["larger", "relu", "true"])
    assert_close(found["larger"], (IMAGES > 0).astype(np.float32), rtol=0, atol=0)
    assert_close(found["relu"], np.maximum(IMAGES, 0), rtol=0, atol=0)
    assert found["true"] == 7


def test_other_graphs_are_as_they_were() -> None:
    graph = compared({"relu": "float32"})
    assert truths_as_numbers(graph) is graph
