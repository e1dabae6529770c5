"""columnar_nn/model/rewrites.py: each rule does what it says, and changes no output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from generated import normal
from onnx import TensorProto, helper, numpy_helper

from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import onnx_io
from columnar_nn.model import rewrites as graph_rewrites
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

IMAGES = normal(0, 3, 3, 6, 6)


def loaded(without: tuple[str, ...] = ()) -> Graph:
    """A file with filters that its nodes compute, a dropout amid it, and a branch that ends."""
    weights = {
        "direction": normal(1, 27, 4),
        "length": normal(2, 27, 1),
        "shape": np.array([4, 3, 3, 3], np.int64),
        "bias": normal(3, 4),
        "unused": normal(4, 9),
    }
    nodes = [
        helper.make_node("Mul", ["direction", "length"], ["scaled"], name="scale"),
        helper.make_node("Transpose", ["scaled"], ["turned"], name="turn", perm=[1, 0]),
        helper.make_node("Reshape", ["turned", "shape"], ["filters"], name="filters"),
        helper.make_node("Identity", ["bias"], ["shared"], name="share"),
        helper.make_node("Dropout", ["x"], ["kept"], name="dropout"),
        helper.make_node("Conv", ["kept", "filters", "shared"], ["c"], name="conv"),
        helper.make_node("Sigmoid", ["c"], ["gate"], name="dead"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Identity", ["r"], ["y"], name="output"),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, 4, 4])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    return onnx_io.from_proto(model, Path(), without=without)


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def output(graph: Graph) -> np.ndarray:
    return evaluate(graph.nodes, graph.weights, {"x": IMAGES}, ["y"])["y"]


def test_all_rules_leave_what_must_run() -> None:
    graph = loaded()
    assert names(graph) == ["conv", "relu", "output"]
    assert set(graph.weights) == {"filters", "shared"}
    assert graph.nodes[0].inputs[0] == "x"


@pytest.mark.parametrize(
    ("rule", "stays"),
    [
        ("fold_constants", {"scale", "turn", "filters"}),
        ("drop_identities", {"dropout"}),
        ("drop_dead_nodes", {"dead"}),
    ],
)
def test_a_rule_left_out_leaves_its_nodes_and_the_same_outputs(rule: str, stays: set[str]) -> None:
    graph = loaded(without=(rule,))
    assert set(names(graph)) == {"conv", "relu", "output"} | stays
    expected = output(loaded(without=tuple(graph_rewrites.NAMES)))
    assert_close(output(graph), expected, rtol=1e-6, atol=1e-6)
    assert_close(output(loaded()), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "rule", graph_rewrites.GRAPH_REWRITES.values(), ids=graph_rewrites.GRAPH_REWRITES
)
def test_a_rule_applied_again_changes_nothing(rule: graph_rewrites.Rule) -> None:
    once = rule(loaded(without=tuple(graph_rewrites.NAMES)))
    again = rule(once)
    assert again.nodes == once.nodes
    assert again.outputs == once.outputs
    assert list(again.weights) == list(once.weights)


def test_without_any_rule_every_node_is_kept() -> None:
    graph = loaded(without=tuple(graph_rewrites.NAMES))
    assert len(graph.nodes) == 9
    assert "unused" in graph.weights


def test_filters_that_are_not_folded_are_a_gap_of_the_engine() -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"conv \(Conv\)"):
        network_outputs(loaded(without=("fold_constants",)), "x")
