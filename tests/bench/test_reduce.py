"""bench/model/reduce.py: a failing model is cut down to what fails in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fuzz import graphs
from fuzz.random_network import sample
from onnx import TensorProto, helper, numpy_helper

from bench.model.reduce import reduce
from columnar_nn.model import canonical
from columnar_nn.model.graph import Node


def model(
    nodes: Sequence[onnx.NodeProto], outputs: Sequence[str] = ("y",), **weights: np.ndarray
) -> onnx.ModelProto:
    """Of one input x [N, 4, 8, 8], opset 13."""
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(
        nodes,
        "reduced",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), **attributes)


def operators(reduced: onnx.ModelProto) -> list[str]:
    return [n.op_type for n in reduced.graph.node]


def has(op_type: str, **attributes: Any) -> Callable[[onnx.ModelProto], bool]:
    """A predicate: the model has a node of this type with these attributes."""

    def fails(candidate: onnx.ModelProto) -> bool:
        for n in candidate.graph.node:
            found = {a.name: helper.get_attribute_value(a) for a in n.attribute}
            if n.op_type == op_type and attributes.items() <= found.items():
                return True
        return False

    return fails


CHAIN = [
    node("Conv", "x w b", "a", pads=[1, 1, 1, 1]),
    node("Relu", "a", "b1"),
    node("MaxPool", "b1", "c", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 1, 0, 1]),
    node("Add", "c c", "d"),
    node("Sigmoid", "d", "e"),
    node("Flatten", "e", "y"),
]
WEIGHTS = {"w": np.ones((4, 4, 3, 3), np.float32), "b": np.zeros(4, np.float32)}


@pytest.mark.parametrize("op_type", ["Conv", "Relu", "MaxPool", "Add", "Sigmoid", "Flatten"])
def test_one_node_of_a_chain_is_left(op_type: str) -> None:
    reduced = reduce(model(CHAIN, ("y", "c"), **WEIGHTS), has(op_type))
    assert operators(reduced) == [op_type]
    assert len(reduced.graph.output) == len(reduced.graph.input) == 1
    assert {t.name for t in reduced.graph.initializer} == ({"w"} if op_type == "Conv" else set())
    assert [d.dim_value for d in reduced.graph.input[0].type.tensor_type.shape.dim][2:] in (
        [1, 1],
        [2, 2],
        [],
    )


def test_attributes_that_do_not_matter_go() -> None:
    reduced = reduce(model(CHAIN, **WEIGHTS), has("MaxPool", strides=[2, 2]))
    (pool,) = reduced.graph.node
    assert {a.name for a in pool.attribute} == {"kernel_shape", "strides"}


def test_two_nodes_that_fail_together_stay() -> None:
    def fails(candidate: onnx.ModelProto) -> bool:
        return has("Relu")(candidate) and has("Sigmoid")(candidate)

    assert operators(reduce(model(CHAIN, **WEIGHTS), fails)) == ["Relu", "Sigmoid"]


def test_branches_are_cut_off() -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Tanh", "x", "b1"),
        node("Sigmoid", "a", "c"),
        node("Add", "b1 c", "y"),
        node("Elu", "x", "z"),
    ]
    assert operators(reduce(model(nodes, ("y", "z")), has("Sigmoid"))) == ["Sigmoid"]
    assert operators(reduce(model(nodes, ("y", "z")), has("Elu"))) == ["Elu"]


def test_functions_are_inlined() -> None:
    function = helper.make_function(
        "f", "F", ["p"], ["q"], [node("Relu", "p", "r"), node("Elu", "r", "q")],
        [helper.make_opsetid("", 13)],
    )  # fmt: skip
    calling = model([helper.make_node("F", ["x"], ["y"], domain="f")])
    calling.functions.append(function)
    calling.opset_import.append(helper.make_opsetid("f", 1))

    def fails(candidate: onnx.ModelProto) -> bool:
        return bool(candidate.functions) or has("Elu")(candidate)

    assert operators(reduce(calling, fails)) == ["Elu"]


def test_work_is_bounded() -> None:
    nodes = [node("Relu", f"t{i}" if i else "x", f"t{i + 1}") for i in range(300)]
    calls = []

    def fails(candidate: onnx.ModelProto) -> bool:
        calls.append(len(candidate.graph.node))
        return "t150" in {name for n in candidate.graph.node for name in n.output}

    chain = model(nodes, ("t300",))
    assert operators(reduce(chain, fails)) == ["Relu"]
    assert len(calls) < 150
    calls.clear()
    assert len(reduce(chain, fails, most_calls=5).graph.node) < 300
    assert len(calls) == 5


def test_what_is_made_of_constants_alone_hides_no_earlier_output() -> None:
    nodes = [
        node("LRN", "x", "a", size=3),
        node("Reshape", "shape one", "target"),
        node("Reshape", "a target", "y"),
    ]
    shape, one = np.array([-1, 4, 64]), np.array([3])
    assert operators(reduce(model(nodes, shape=shape, one=one), has("LRN"))) == ["LRN"]


def test_only_valid_models_are_tried() -> None:
    def fails(candidate: onnx.ModelProto) -> bool:
        onnx.checker.check_model(candidate)
        assert [value.name for value in candidate.graph.input]
        return True

    assert len(reduce(model(CHAIN, **WEIGHTS), fails).graph.node) == 1


def _first_input_only(node: Node, rewriting: object) -> list[Node]:
    return [replace(node, op_type="Identity", inputs=node.inputs[:1], attributes={})]


def _other_attributes(**wrong: Any) -> Callable[[Node, object], list[Node]]:
    return lambda node, rewriting: [replace(node, attributes={**node.attributes, **wrong})]


FAULTS = {
    "LeakyRelu": _other_attributes(alpha=0.5),
    "LRN": _other_attributes(beta=0.6),
    "BatchNormalization": _other_attributes(epsilon=0.5),
    "Relu": _first_input_only,
    "Add": _first_input_only,
    "PRelu": _first_input_only,
}
"""Rules of the import, wrong on purpose."""


@pytest.mark.parametrize("op_type", FAULTS)
def test_a_fault_of_the_import_is_cut_down_to_its_operator(
    op_type: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(canonical.CANONICAL_FORMS, op_type, FAULTS[op_type])
    seeds = (s for s in range(1000) if len(sample(s).plain.graph.node) > 5)
    # Behind a shape that is computed from the batch onnx infers none: no output can be moved there.
    kinds = ((s, operators(sample(s).plain)) for s in seeds)
    affected = (s for s, found in kinds if op_type in found and "Shape" not in found)
    wrong = next(found for seed in affected if (found := graphs.check(seed, tmp_path)))
    assert wrong.startswith(("reference differs from the file: ", "import raises "))
    smallest = onnx.load(tmp_path / "smallest.onnx")
    assert op_type in operators(smallest)
    assert len(smallest.graph.node) <= 2
