"""A tensor that is read under two shapes has a layout of its own under each."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from generated import normal
from onnx import TensorProto, helper, numpy_helper

from columnar_nn.model import onnx_io
from reference.evaluate import evaluate


@pytest.mark.parametrize("fusion", ["none", "pipeline"])
def test_an_image_is_pooled_under_two_shapes(fusion: str) -> None:
    window = {"kernel_shape": [2, 2], "strides": [1, 1]}
    nodes = [
        helper.make_node("MaxPool", ["x"], ["first"], **window),
        helper.make_node("Reshape", ["x", "shape"], ["other"]),
        helper.make_node("MaxPool", ["other"], ["second"], **window),
    ]
    shapes = {"first": (6, 7, 3), "second": (12, 3, 3)}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "shapes",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6, 8, 4])],
            [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *shapes[n]])
                for n in shapes
            ],
            [numpy_helper.from_array(np.array([0, 12, 4, 4], np.int64), "shape")],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    graph, x = onnx_io.load_bytes(model.SerializeToString()), normal(1, 2, 6, 8, 4)
    expected = evaluate(graph.nodes, graph.weights, {"x": x}, list(shapes))
    for name, actual in zip(shapes, run_columnar(graph, {"x": x}, fusion), strict=True):
        assert_close(actual, expected[name], rtol=0, atol=0)
