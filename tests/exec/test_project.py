"""Networks in a projection, at every fusion level, against the float64 reference."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from exec.networks import column, expected, images, residual_network

from columnar_nn.data.tensor_column import from_numpy, to_numpy
from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError
from columnar_nn.exec import kernel_program
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.expressions.expression import Call, argmax, call
from columnar_nn.lowering.network import network, network_outputs
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.nodes import ProjectNode
from columnar_nn.plan.rewrites import FUSIONS

ALGORITHMS = ("auto", "direct", "winograd", "textbook")


def executable(
    graph: Graph, batch: pa.RecordBatch, fusion: str = "pipeline", algorithm: str = "auto"
) -> Executable:
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    return prepare(plan, fusion=fusion, algorithm=algorithm)


def close(actual: np.ndarray, truth: np.ndarray) -> None:
    assert_close(actual, truth, rtol=0, atol=5e-5 * float(np.abs(truth).max()))


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_fusion_level_and_algorithm_computes_the_network(fusion: str, algorithm: str) -> None:
    graph, batch = residual_network(), images(5)
    table = executable(graph, batch, fusion, algorithm).run().to_table()
    close(column(table, "logits"), *expected(graph, batch, "logits"))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_intermediate_tensors_come_out_beside_the_logits(fusion: str) -> None:
    names = ("c1", "r1", "n2", "features", "logits")
    graph = residual_network()
    graph = graph.with_outputs([TensorSpec(name, (None,)) for name in names])
    batch = images(3)
    table = executable(graph, batch, fusion).run().to_table()
    for name, truth in zip(names, expected(graph, batch, *names), strict=True):
        close(column(table, name), truth)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet20", (3, 32, 32)),
        ("squeezenet", (3, 224, 224)),
        ("mobilenet_v2", (3, 224, 224)),
        ("resnet18", (3, 224, 224)),
        pytest.param("resnet50", (3, 224, 224), marks=pytest.mark.slow),
    ],
)
def test_built_in_networks(name: str, shape: tuple[int, ...]) -> None:
    graph, batch = zoo.build(name), images(1, shape)
    (output,) = (spec.name for spec in graph.outputs)
    table = executable(graph, batch).run().to_table()
    close(column(table, output), *expected(graph, batch, output))


def labels_of_steps(graph: Graph, fusion: str) -> list[str]:
    return [step.label for step in executable(graph, images(1), fusion).steps]


def test_an_expression_used_twice_is_computed_once() -> None:
    labels = labels_of_steps(residual_network(), "none")
    assert labels == [
        "pixels_to_float",
        "conv1",
        "conv1",
        "relu1",
        "conv2",
        "norm",
        "add",
        "relu2",
        "pool",
        "dense",
        "dense",
    ]


def test_two_columns_that_share_a_network_compute_it_once() -> None:
    graph, batch = residual_network(), images(4)
    logits = network(graph)
    plan = PlanBuilder().values([batch])
    plan.project({"p": call("softmax", logits), "c": argmax(logits), "logits": logits})
    task = prepare(plan.plan()).run(profile=True)
    table = task.to_table()
    steps = task.stats().steps
    assert sum(step.label.startswith("conv1") for step in steps) == 1
    assert all(step.rows == 4 for step in steps)
    (truth,) = expected(graph, batch, "logits")
    close(column(table, "logits"), truth)
    assert table.column("c").to_pylist() == truth.argmax(axis=1).tolist()
    exponentials = np.exp(truth - truth.max(axis=1, keepdims=True))
    close(column(table, "p"), exponentials / exponentials.sum(axis=1, keepdims=True))


def test_a_layer_is_one_kernel_and_swallows_its_residual() -> None:
    labels = labels_of_steps(residual_network(), "layer")
    assert labels == ["pixels_to_float", "conv1+relu1", "conv2+norm+add+relu2", "pool", "dense"]


def test_what_is_read_elsewhere_is_not_swallowed() -> None:
    graph = residual_network().with_outputs(
        [TensorSpec("c1", (None,)), TensorSpec("n2", (None,)), TensorSpec("logits", (None,))]
    )
    labels = labels_of_steps(graph, "layer")
    assert [label for label in labels if label != "output"] == [
        "pixels_to_float",
        "conv1",
        "relu1",
        "conv2+norm",
        "add",
        "relu2",
        "pool",
        "dense",
    ]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_fusion_level_is_visible_in_the_plan(fusion: str) -> None:
    plan = executable(residual_network(), images(1), fusion).plan
    assert isinstance(plan, ProjectNode)
    (root,) = plan.projections
    assert isinstance(root, Call)
    top = {"none": "mat_add", "layer": "dense_layer", "pipeline": "pipeline"}
    assert root.function == top[fusion]


def test_large_batches_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, batch = residual_network(), images(61)
    whole = executable(graph, batch, "layer").run()
    whole.to_table()
    monkeypatch.setattr(kernel_program, "SCRATCH_BYTES", 100_000)
    parts = executable(graph, batch, "layer").run()
    close(column(parts.to_table(), "logits"), *expected(graph, batch, "logits"))
    assert parts.stats().peak_memory_bytes < whole.stats().peak_memory_bytes / 2


def test_a_reshape_alone_moves_nothing() -> None:
    node = Node("flatten", "Flatten", ("image",), ("flat",), {"axis": 1})
    spec = TensorSpec("image", (None, 3, 4, 4))
    graph = Graph("flat", (node,), (spec,), (TensorSpec("flat", (None, 48)),), {})
    values = np.random.default_rng(0).random((3, 3, 4, 4), np.float32)
    batch = pa.record_batch({"image": from_numpy(values)})
    ready = executable(graph, batch)
    (result,) = list(ready.run())
    assert ready.steps == ()
    assert np.shares_memory(to_numpy(result.column("flat")), values)
    np.testing.assert_array_equal(to_numpy(result.column("flat")), values.reshape(3, 48))


def test_every_unsupported_node_is_named_at_once() -> None:
    nodes = (
        Node("over_rows", "Softmax", ("image",), ("p",), {"axis": 0}),
        Node("relu", "Relu", ("p",), ("q",)),
        Node("side_by_side", "LogSoftmax", ("q",), ("r",), {"axis": 0}),
    )
    spec = TensorSpec("image", (None, 3, 4, 4))
    graph = Graph("odd", nodes, (spec,), (TensorSpec("r", (None, 3, 4, 4)),), {})
    with pytest.raises(UnsupportedOperatorError) as caught:
        network(graph)
    assert [(name, op_type) for name, op_type, _ in caught.value.nodes] == [
        ("over_rows", "Softmax"),
        ("side_by_side", "LogSoftmax"),
    ]


def test_inputs_need_columns() -> None:
    specs = (TensorSpec("a", (None, 4)), TensorSpec("b", (None, 4)))
    add = Node("add", "Add", ("a", "b"), ("c",))
    graph = Graph("two", (add,), specs, (TensorSpec("c", (None, 4)),), {})
    with pytest.raises(InvalidModelError, match="name a column for each"):
        network(graph)
    with pytest.raises(InvalidModelError, match="no column is named for the network's input b"):
        network(graph, {"a": "x"})
