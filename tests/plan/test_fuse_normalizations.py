"""fuse_normalizations: a normalization of single operators is one call, and gives the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from exec.networks import column
from generated import normal

from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.expressions.expression import Call, topological
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

TOKENS = normal(1, 4, 5, 12) * np.float32(3)
WEIGHTS = {
    "two": np.array(2, np.float32),
    "epsilon": np.array(0.5, np.float32),
    "inverse": np.array(-0.5, np.float32),
    "one": np.array(1, np.float32),
    "matrix": normal(6, 12, 12) / np.float32(4),
    "scale": normal(2, 12),
    "bias": normal(3, 12),
    "by token": normal(4, 5, 1),
    "of tokens": normal(5, 5, 12),
}
LAST, BOTH, FIRST = [-1], [1, 2], [1]

Written = list[tuple[str, ...]]
"""The operator, its inputs and what it gives; means are over the axes of the case."""

DIFFERENCE: Written = [("ReduceMean", "x", "mean"), ("Sub", "x", "mean", "d")]
VARIANCE: Written = [("Pow", "d", "two", "square"), ("ReduceMean", "square", "variance")]
DEVIATION: Written = [("Add", "variance", "epsilon", "sum"), ("Sqrt", "sum", "deviation")]
QUOTIENT: Written = [*DIFFERENCE, *VARIANCE, *DEVIATION, ("Div", "d", "deviation", "y")]
CONSTANTS: Written = [("Mul", "y", "scale", "scaled"), ("Add", "scaled", "bias", "z")]

FUSED: dict[str, tuple[list[int], Written, int]] = {
    "of PyTorch": (LAST, [*QUOTIENT, *CONSTANTS], 3),
    "of several axes": (BOTH, [*QUOTIENT, ("Mul", "of tokens", "y", "z")], 2),
    "without constants": (LAST, QUOTIENT, 1),
    "bias alone": (LAST, [*QUOTIENT, ("Add", "bias", "y", "z")], 3),
    "two differences": (
        LAST,
        [
            *(*DIFFERENCE, ("Sub", "x", "mean", "again"), ("Mul", "again", "again", "square")),
            *(VARIANCE[1], *DEVIATION, ("Div", "d", "deviation", "y"), *CONSTANTS),
        ],
        3,
    ),
    "reciprocal": (
        LAST,
        [
            *(*DIFFERENCE, *VARIANCE, *DEVIATION, ("Reciprocal", "deviation", "factor")),
            ("Mul", "factor", "d", "y"),
        ],
        1,
    ),
    "power": (
        LAST,
        [
            *(*DIFFERENCE, *VARIANCE, DEVIATION[0], ("Pow", "sum", "inverse", "factor")),
            ("Mul", "d", "factor", "y"),
        ],
        1,
    ),
}
"""Axes, nodes, and inputs of the layer_norm that they become."""

APART: dict[str, tuple[list[int], Written]] = {
    "another axis": (FIRST, QUOTIENT),
    "epsilon after the root": (
        LAST,
        [
            *(*DIFFERENCE, *VARIANCE, ("Sqrt", "variance", "root")),
            *(("Add", "root", "epsilon", "deviation"), ("Div", "d", "deviation", "y")),
        ],
    ),
    "deviation read elsewhere": (LAST, [*QUOTIENT, ("Add", "y", "deviation", "z")]),
    "difference read elsewhere": (LAST, [*QUOTIENT, ("Add", "y", "d", "z")]),
    "mean read elsewhere": (LAST, [*QUOTIENT, ("Add", "y", "mean", "z")]),
    "cubes": (
        LAST,
        [
            *(*DIFFERENCE, ("Mul", "d", "x", "square"), VARIANCE[1], *DEVIATION),
            ("Div", "d", "deviation", "y"),
        ],
    ),
    "x over its deviation": (
        LAST,
        [*DIFFERENCE, *VARIANCE, *DEVIATION, ("Div", "x", "deviation", "y")],
    ),
    "another power": (
        LAST,
        [
            *(*DIFFERENCE, *VARIANCE, DEVIATION[0], ("Pow", "sum", "epsilon", "factor")),
            ("Mul", "d", "factor", "y"),
        ],
    ),
}


def executable(axes: list[int], written: Written, **options: Any) -> tuple[Executable, Graph]:
    nodes = []
    for index, (op_type, *names) in enumerate(written):
        inputs = (*names[:-1], "axes") if op_type == "ReduceMean" else tuple(names[:-1])
        nodes.append(Node(f"n{index}", op_type, inputs, (names[-1],), {}))
    given = {**WEIGHTS, "axes": np.array(axes, np.int64)}
    read = {name for node in nodes for name in node.inputs}
    weights = {name: array for name, array in given.items() if name in read}
    spec = TensorSpec("x", (None, 5, 12))
    output = TensorSpec(nodes[-1].outputs[0], (None, 5, 12))
    graph = Graph("written", tuple(nodes), (spec,), (output,), weights)
    batch = pa.record_batch({"x": tensor_column.from_numpy(TOKENS)})
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "x")).plan()
    return prepare(plan, **options), graph


def functions(made: Executable) -> list[str]:
    return [e.function for e in topological(made.plan.expressions) if isinstance(e, Call)]


def check(made: Executable, graph: Graph) -> None:
    name = graph.outputs[0].name
    truth = evaluate(graph.nodes, graph.weights, {"x": TOKENS}, [name])[name]
    assert_close(column(made.run().to_table(), name), truth, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("case", FUSED)
def test_it_is_one_call(case: str) -> None:
    axes, written, inputs = FUSED[case]
    made, graph = executable(axes, written, fusion="layer")
    assert functions(made) == ["layer_norm"]
    (layer,) = (e for e in topological(made.plan.expressions) if isinstance(e, Call))
    assert len(layer.inputs) == inputs
    shared = {"n2"} if case == "two differences" else set()
    assert set(layer.nodes) == {node.name for node in graph.nodes} - shared
    check(made, graph)


@pytest.mark.parametrize("case", APART)
def test_others_stay(case: str) -> None:
    made, graph = executable(*APART[case], fusion="layer")
    assert "layer_norm" not in functions(made)
    check(made, graph)


@pytest.mark.parametrize("constant", ["by token", "of tokens"])
def test_constants_of_other_axes_stay(constant: str) -> None:
    made, graph = executable(LAST, [*QUOTIENT, ("Mul", "y", constant, "z")], fusion="layer")
    assert functions(made) == [
        "layer_norm",
        "vec_mul" if constant == "of tokens" else "vec_scal_mul",
    ]
    check(made, graph)


def test_products_of_matrices_stay() -> None:
    made, graph = executable(LAST, [*QUOTIENT, ("MatMul", "y", "matrix", "z")], fusion="layer")
    assert functions(made) == ["layer_norm", "matrix_layer"]
    check(made, graph)


def test_a_normalization_read_elsewhere_keeps_its_constants_apart() -> None:
    made, graph = executable(LAST, [*QUOTIENT, *CONSTANTS, ("Add", "z", "y", "t")], fusion="layer")
    assert functions(made)[0] == "layer_norm"
    assert functions(made).count("vec_mul") == 1
    check(made, graph)
