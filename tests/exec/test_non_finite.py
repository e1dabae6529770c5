"""NaN and infinity go where PyTorch lets them go, and nothing overflows that need not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from exec.networks import column
from generated import normal
from onnx import TensorProto, helper, numpy_helper

from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.networks.plain9 import plain9
from columnar_nn.model.shapes import infer_shapes
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

functional = torch.nn.functional
CHANNELS, SIZE = 18, 12
WINDOW = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
FILTERS = normal(1, 16, CHANNELS, 3, 3)
MASK = np.arange(CHANNELS * SIZE**2).reshape(1, CHANNELS, SIZE, SIZE) % 3 > 0

OPERATORS: dict[str, tuple[dict[str, Any], Callable[[torch.Tensor], torch.Tensor]]] = {
    "Relu": ({}, functional.relu),
    "LeakyRelu": ({"alpha": 0.2}, lambda x: functional.leaky_relu(x, 0.2)),
    "Elu": ({"alpha": 1.0}, functional.elu),
    "Selu": ({}, functional.selu),
    "Sigmoid": ({}, torch.sigmoid),
    "Tanh": ({}, torch.tanh),
    "Celu": ({"alpha": 0.5}, lambda x: functional.celu(x, 0.5)),
    "Exp": ({}, torch.exp),
    "Floor": ({}, torch.floor),
    "Gelu": ({}, lambda x: functional.gelu(x.double()).float()),  # of float32 infinity it is NaN
    "Log": ({}, torch.log),
    "Mish": ({}, functional.mish),
    "Reciprocal": ({}, torch.reciprocal),
    "Round": ({}, torch.round),
    "Softplus": ({}, functional.softplus),
    "Softsign": ({}, functional.softsign),
    "Sqrt": ({}, torch.sqrt),
    "ThresholdedRelu": ({"alpha": 0.5}, lambda x: functional.threshold(x, 0.5, 0.0)),
    "HardSigmoid": ({"alpha": 1 / 6, "beta": 0.5}, functional.hardsigmoid),
    "HardSwish": ({}, functional.hardswish),
    "Softmax": ({"axis": 1}, lambda x: functional.softmax(x, 1)),
    "LogSoftmax": ({"axis": -1}, lambda x: functional.log_softmax(x, -1)),
    "MaxPool": (WINDOW, lambda x: functional.max_pool2d(x, 3, 2, 1)),
    "AveragePool": (
        {**WINDOW, "count_include_pad": 1},
        lambda x: functional.avg_pool2d(x, 3, 2, 1),
    ),
    "GlobalAveragePool": ({}, lambda x: functional.adaptive_avg_pool2d(x, 1)),
    "Clip": ({}, lambda x: torch.clamp(x, -1.0, 6.0)),
    "ReduceMean": ({"keepdims": 1}, lambda x: x.mean(1, keepdim=True)),
    "ReduceMax": ({}, lambda x: x.amax(1, keepdim=True)),
    "ReduceL2": ({}, lambda x: x.norm(2, 1, keepdim=True)),
    "Min": ({}, lambda x: torch.minimum(x, torch.tensor(0.5))),
    "Where": ({}, lambda x: torch.where(torch.tensor(MASK), x, torch.tensor(0.0))),
    "Conv": (
        {"pads": [1, 1, 1, 1]},
        lambda x: functional.conv2d(x, torch.tensor(FILTERS), padding=1),
    ),
}
CONSTANTS: dict[str, tuple[np.ndarray, ...]] = {
    "Clip": (np.array(-1, np.float32), np.array(6, np.float32)),
    **dict.fromkeys(("ReduceMax", "ReduceL2", "ReduceMean"), (np.array([1], np.int64),)),
    "Min": (np.array(0.5, np.float32),),
    "Conv": (FILTERS,),
}


def image() -> np.ndarray:
    x = normal(0, 2, CHANNELS, SIZE, SIZE)
    x[0, 3, 2, 2], x[0, 17, 9, 4], x[1, 5, 7, 7] = np.nan, np.inf, -np.inf
    return x


def result(op_type: str, algorithm: str) -> np.ndarray:
    constants = {
        f"constant{index}": array for index, array in enumerate(CONSTANTS.get(op_type, ()))
    }
    operands = ["image", *constants]
    if op_type == "Where":
        operands = ["mask", "image", "zero"]
        constants = {"mask": MASK, "zero": np.array(0, np.float32)}
    node = Node("node", op_type, tuple(operands), ("y",), OPERATORS[op_type][0])
    spec = TensorSpec("image", (None, CHANNELS, SIZE, SIZE))
    graph = Graph("one", (node,), (spec,), (TensorSpec("y", (None,)),), constants)
    graph = graph.with_outputs([TensorSpec("y", infer_shapes(graph)["y"])])
    plan = PlanBuilder().values([batch_of(image())]).project(network_outputs(graph, "image")).plan()
    return column(prepare(plan, algorithm=algorithm).run().to_table(), "y")


@pytest.mark.parametrize("algorithm", ["auto", "winograd", "textbook"])
@pytest.mark.parametrize("op_type", OPERATORS)
def test_they_go_where_pytorch_lets_them(op_type: str, algorithm: str) -> None:
    expected = OPERATORS[op_type][1](torch.tensor(image())).numpy()
    assert np.isnan(expected).any()
    assert_close(result(op_type, algorithm), expected, rtol=1e-5, atol=1e-4)


def test_winograd_leaves_them_to_direct_convolution() -> None:
    np.testing.assert_array_equal(result("Conv", "winograd"), result("Conv", "direct"))


CONV = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


def convolutions(*filters: np.ndarray) -> Graph:
    """Convolutions, each rectified, one after the other."""
    nodes, tensor = [], "image"
    for index in range(len(filters)):
        convolution = Node(f"conv{index}", "Conv", (tensor, f"w{index}"), (f"c{index}",), CONV)
        nodes += [convolution, Node(f"relu{index}", "Relu", (f"c{index}",), (f"r{index}",))]
        tensor = f"r{index}"
    image = TensorSpec("image", (None, filters[0].shape[1], SIZE, SIZE))
    weights = {f"w{index}": array for index, array in enumerate(filters)}
    output = TensorSpec(tensor, (None, len(filters[-1]), SIZE, SIZE))
    return Graph("chain", tuple(nodes), (image,), (output,), weights)


@pytest.mark.parametrize("algorithm", ["auto", "winograd"])
def test_what_is_finite_does_not_overflow_in_a_layer(algorithm: str, threads: int) -> None:
    first = normal(2, 32, CHANNELS, 3, 3)
    second = normal(3, 32, 32, 3, 3) * np.float32(1e-8)
    large = normal(1, 5, CHANNELS, SIZE, SIZE)
    large[3] *= np.float32(3e36)  # the first layer's outputs: up to about 1e38
    graph = convolutions(first, second)
    rows = torch.tensor(large).double()
    for filters in (first, second):
        rows = functional.conv2d(rows, torch.tensor(filters).double(), padding=1).relu()
    expected = rows.numpy().astype(np.float32)
    plan = PlanBuilder().values([batch_of(large)]).project(network_outputs(graph, "image")).plan()
    with prepare(plan, threads, algorithm=algorithm) as executable:
        assert sum("winograd" in step.kernel for step in executable.steps) == 2
        for _ in range(2):
            actual = column(executable.run().to_table(), graph.outputs[0].name)
            assert np.isfinite(actual).all()
            for row in (0, 3):
                scale = float(expected[row].max())
                assert_close(actual[row], expected[row], rtol=1e-5, atol=2e-5 * scale)


def test_an_overflow_between_layers_is_not_hidden() -> None:
    first = normal(2, 32, CHANNELS, 3, 3) * np.float32(3e37)  # its outputs: infinite, both signs
    graph = convolutions(first, normal(3, 32, 32, 3, 3))
    batch = batch_of(normal(1, 1, CHANNELS, SIZE, SIZE))
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    results = [
        column(prepare(plan, algorithm=algorithm).run().to_table(), graph.outputs[0].name)
        for algorithm in ("auto", "winograd", "direct")
    ]
    assert not np.isfinite(results[0]).all()
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[2])


def test_a_network_of_winograd_layers(threads: int) -> None:
    graph = plain9(seed=3)
    images = normal(4, 3, 3, 32, 32)
    finite = images.copy()
    images[1, 0, 5, 6], images[1, 2, 30, 1] = np.nan, -np.inf
    plan = PlanBuilder().table_scan([batch_of(images)]).project(network_outputs(graph, "image"))
    with prepare(plan.plan(), threads) as executable:
        assert any("winograd" in step.kernel for step in executable.steps)

        def logits(rows: np.ndarray) -> np.ndarray:
            task = executable.run({"0": [batch_of(rows)]})
            return column(task.to_table(), graph.outputs[0].name)

        actual, expected = logits(images), logits(finite)
    assert np.isnan(actual[1]).all()
    assert_close(actual[[0, 2]], expected[[0, 2]], rtol=1e-4, atol=1e-4)


GROUPS = ((2, 2, 1), (3, 5, 2), (6, 1, 3), (17, 1, 1), (5, 1, 2), (4, 9, 4))
"""Groups, and channels and filters of each: several in a block of 16, across two, depthwise."""


@pytest.mark.parametrize("fusion", ["none", "layer", "pipeline"])
@pytest.mark.parametrize("algorithm", ["auto", "direct", "winograd", "textbook"])
@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_groups_keep_them_to_themselves(
    groups: tuple[int, int, int], algorithm: str, fusion: str
) -> None:
    """Those of the image in one group of one row, and those that a bias makes of finite images."""
    number, channels, filters = groups
    shape = (number * channels, 8, 9)
    weights = {
        "first": normal(5, shape[0], channels, 3, 3),
        "offset": normal(6, shape[0]),
        "second": normal(7, number * filters, channels, 3, 3),
    }
    grouped = {"strides": [1, 1], "dilations": [1, 1], "pads": [1, 1, 1, 1], "group": number}
    nodes = (
        Node("conv1", "Conv", ("image", "first", "offset"), ("a",), grouped),
        Node("relu1", "Relu", ("a",), ("b",)),
        Node("conv2", "Conv", ("b", "second"), ("c",), {**grouped, "strides": [2, 2]}),
        Node("pool", "MaxPool", ("c",), ("d",), {"kernel_shape": [2, 2]}),
    )
    spec = TensorSpec("image", (None, *shape))
    for infinite in (False, True):
        images = normal(8, 3, *shape)
        if infinite:
            weights["offset"][0] = np.inf
        else:
            images[1, 0, 3, 4], images[2, -1, 0, 0] = np.nan, -np.inf
        graph = Graph("groups", nodes, (spec,), (TensorSpec("d", (None,)),), dict(weights))
        graph = graph.with_outputs([TensorSpec("d", infer_shapes(graph)["d"])])
        with np.errstate(invalid="ignore"):
            expected = evaluate(graph.nodes, graph.weights, {"image": images}, ["d"])["d"]
        assert np.isnan(expected).any()
        assert np.isfinite(expected).mean() > 0.4
        plan = PlanBuilder().values([batch_of(images)]).project(network_outputs(graph, "image"))
        executable = prepare(plan.plan(), fusion=fusion, algorithm=algorithm)
        actual = column(executable.run().to_table(), "d")
        assert_close(actual, expected, rtol=1e-5, atol=1e-4)


def batch_of(images: np.ndarray) -> pa.RecordBatch:
    return pa.record_batch({"image": tensor_column.from_numpy(images)})


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_a_resized_pixel_sees_only_those_that_it_weighs(mode: str, value: float) -> None:
    attributes = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 5, 4])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 10, 12])]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 3], np.float32), "scales")
    model = helper.make_model(
        helper.make_graph([node], "resize", inputs, outputs, [scales]),
        opset_imports=[helper.make_opsetid("", 13)],
    )
    graph, x = onnx_io.load_bytes(model.SerializeToString()), normal(1, 2, 3, 5, 4)
    x[1, 2, 2, 1] = value
    expected = evaluate(graph.nodes, graph.weights, {"x": x}, ["y"])["y"]
    assert np.isfinite(expected[1, 2, 2, 3])  # beside the value, with no weight for it
    (actual,) = run_columnar(graph, {"x": x})
    assert_close(actual, expected, rtol=1e-5, atol=1e-6)
