"""QuantizeLinear and DequantizeLinear, exactly as ONNX and ONNX Runtime compute them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conformance.columnar_runner import run_columnar
from model.onnx_models import model, node
from model.quantized_networks import quantized
from onnx import TensorProto

from bench.compare.truth import RELATIVE_ATOL, RTOL
from bench.data.dataset import open_dataset
from bench.verdict.noise import DIMMED, NoiseAccumulator
from bench.verdict.parity import Tolerance
from bench.verdict.rule import Judge
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidModelError
from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

TYPES = ("int8", "uint8", "int16", "uint16")


def imported(proto: onnx.ModelProto) -> Graph:
    return onnx_io.from_proto(proto, Path())


def referenced(
    graph: Graph, images: np.ndarray, calculation: type[np.floating] = np.float64
) -> np.ndarray:
    (source,), (name,) = graph.inputs, (spec.name for spec in graph.outputs)
    feed = {source.name: images}
    return evaluate(graph.nodes, graph.weights, feed, [name], calculation=calculation)[name]


def run_file(proto: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of it, node by node: optimised, it would compute in integers."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    (output,) = session.run(None, {session.get_inputs()[0].name: images})
    return np.asarray(output)


def there_and_back(
    opset: int, scale: Any, zero_point: np.ndarray | None, between: str = "", **attributes: Any
) -> onnx.ModelProto:
    """x [N, 3, 7, 8] to integers, an operator of them, if one is named, and back."""
    weights = {"s": np.asarray(scale, np.float32)}
    names = "s"
    if zero_point is not None:
        weights["z"], names = zero_point, "s z"
    nodes = [
        node("QuantizeLinear", f"x {names}", "q", **attributes),
        *([node(between, "q", "m", kernel_shape=[2, 2])] if between else []),
        node("DequantizeLinear", f"{'m' if between else 'q'} {names}", "y", **attributes),
    ]
    return model(nodes, weights, opset=opset, ir_version=10)


def halves() -> np.ndarray:
    """Values that are, over 0.25, whole, half-way between two integers, and beyond every type."""
    random = np.random.default_rng(5)
    images = (random.integers(-600, 600, (4, 3, 7, 8)) / 8).astype(np.float32)
    images[0, :, 0] *= 1000
    images[1] = random.standard_normal((3, 7, 8))
    return images


def cases() -> Iterator[Any]:
    for dtype in TYPES:
        zero = np.array(3, dtype)
        for opset in (10, 13, 19, 21) if "16" not in dtype else (21,):
            yield pytest.param(there_and_back(opset, 0.25, zero), id=f"{dtype}-{opset}")
        opset = 21 if "16" in dtype else 13
        scales, zeros = [0.25, 0.37, 2.0], np.array([0, 5, 100], dtype)
        yield pytest.param(there_and_back(opset, scales, zeros, axis=1), id=f"{dtype}-channels")
        rows = np.linspace(0.1, 1.7, 7), np.arange(7).astype(dtype)
        yield pytest.param(there_and_back(opset, *rows, axis=-2), id=f"{dtype}-rows")
    yield pytest.param(there_and_back(13, 0.3, np.int8(-9), "MaxPool"), id="pooled")
    yield pytest.param(there_and_back(13, 0.3, None), id="no zero point")


@pytest.mark.parametrize("proto", list(cases()))
def test_both_are_exactly_onnx_runtime_s(proto: onnx.ModelProto) -> None:
    images = halves()
    expected, graph = run_file(proto, images), imported(proto)
    np.testing.assert_array_equal(referenced(graph, images), expected)
    (engine,) = run_columnar(graph, {"x": images})
    np.testing.assert_array_equal(engine, expected)


@pytest.mark.parametrize(
    ("proto", "reason"),
    [
        (
            model(
                [node("QuantizeLinear", "x s", "q"), node("Add", "q q", "y")], {"s": np.float32(1)}
            ),
            "calculates with integers; put DequantizeLinear before it",
        ),
        (
            model([node("QuantizeLinear", "x s", "y")], {"s": np.float32(1)}),
            "output 'y' holds integers: end the network with DequantizeLinear",
        ),
        (
            model(
                [
                    node("GlobalAveragePool", "x", "s"),
                    node("QuantizeLinear", "x s", "q"),
                    node("DequantizeLinear", "q s", "y"),
                ]
            ),
            "its scale is computed at run time; it must be a constant",
        ),
        (there_and_back(13, [0.5, 1.0], np.zeros(2, np.int8), axis=1), r"scales \(2,\) for axis 1"),
        (
            there_and_back(
                21, np.ones((1, 3, 7, 4)), np.zeros((1, 3, 7, 4), np.int8), block_size=2
            ),
            "blocks are supported of constants only",
        ),
        (there_and_back(21, 0.5, None, output_dtype=TensorProto.FLOAT8E4M3FN), "not supported"),
    ],
)
def test_what_is_refused(proto: onnx.ModelProto, reason: str) -> None:
    with pytest.raises(InvalidModelError, match=reason):
        imported(proto)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    (batch,) = open_dataset("photo10").batches(8, 8, 13)
    return tensor_column.to_numpy(batch.column("image")).astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module")
def plain9(images: np.ndarray) -> onnx.ModelProto:
    return quantized(zoo.resolve("plain9"), images)


def test_plain9_in_int8_is_its_file(plain9: onnx.ModelProto, images: np.ndarray) -> None:
    graph, expected = imported(plain9), run_file(plain9, images)
    assert graph.precision == "int8"
    assert {str(w.dtype) for w in graph.weights.values()} == {"float32"}
    atol = 1e-3 * float(np.abs(expected).max())  # a step here and there is chance: see below
    np.testing.assert_allclose(referenced(graph, images), expected, rtol=0, atol=atol)


def test_int8_costs_plain9_little_accuracy(plain9: onnx.ModelProto) -> None:
    (batch,) = open_dataset("photo10").batches(250, 250)
    pixels = tensor_column.to_numpy(batch.column("image")).astype(np.float32) / np.float32(255)
    labels = np.asarray(batch.column("label"))
    exact = run_file(onnx_io.to_proto(zoo.resolve("plain9")), pixels)
    graph = imported(plain9)
    (coarse,) = run_columnar(graph, {graph.inputs[0].name: pixels})
    accuracies = [float((a.argmax(axis=1) == labels).mean()) for a in (exact, coarse)]
    assert abs(accuracies[1] - accuracies[0]) < 0.02


def test_the_verdict_tells_a_step_by_chance_from_a_wrong_one(
    plain9: onnx.ModelProto, images: np.ndarray
) -> None:
    """An engine whose sums round otherwise is another step off here and there, and right."""
    graph = imported(plain9)
    accumulator, truth = NoiseAccumulator(), referenced(graph, images)
    plain = referenced(graph, images, np.float32)
    accumulator.add(truth, plain, referenced(graph, images * np.float32(DIMMED), np.float32))
    noise = accumulator.result()

    def verdict(output: np.ndarray) -> str:
        largest = float(np.abs(truth).max())
        judge = Judge(Tolerance(RELATIVE_ATOL * largest, RTOL), noise)
        judge.add(output, truth)
        return judge.verdict().status

    (engine,) = run_columnar(graph, {graph.inputs[0].name: images})
    assert verdict(engine) == "PASSED"
    last = [n for n in graph.nodes if n.op_type == "Round"][-1]
    cut_off = [replace(n, op_type="Floor") if n is last else n for n in graph.nodes]
    assert verdict(referenced(replace(graph, nodes=tuple(cut_off)), images)) == "FAILED"
    assert verdict(referenced(zoo.resolve("plain9"), images)) == "FAILED"
