"""Operators of older and newer opsets: the reference and the engine against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from conformance.opset_cases import CASES, Case
from generated import normal
from onnx import TensorProto, helper, numpy_helper

from columnar_nn.model import onnx_io
from columnar_nn.model.operators import OPERATORS
from reference.evaluate import evaluate

onnxruntime = pytest.importorskip("onnxruntime")


def model(case: Case) -> onnx.ModelProto:
    names, weights = ["x"], []
    for index, value in enumerate(case.inputs):
        constant = isinstance(value, np.ndarray)
        names.append(f"constant{index}" if constant else value or "")
        if constant:
            weights.append(numpy_helper.from_array(value, names[-1]))
    outputs = [f"y{index}" for index in range(case.num_outputs)]
    node = helper.make_node(case.op_type, names, outputs, **case.attributes)
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *case.shape])
    known = OPERATORS.get(case.op_type)
    made = helper.np_dtype_to_tensor_dtype(np.dtype(known.result if known else "float32"))
    results = [helper.make_tensor_value_info(name, made, None) for name in outputs]
    graph = helper.make_graph([node], "made", [image], results, weights)
    opsets = [helper.make_opsetid("", case.opset)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnx.shape_inference.infer_shapes(made)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    proto, x = model(case), normal(0, 2, *case.shape)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    expected = session.run(None, {"x": x})
    graph = onnx_io.from_proto(proto, Path())
    names = [spec.name for spec in graph.outputs]
    reference = evaluate(graph.nodes, graph.weights, {"x": x}, names)
    engine = run_columnar(graph, {"x": x})
    assert len(expected) == len(names) == len(engine)
    for name, actual, truth in zip(names, engine, expected, strict=True):
        assert_close(reference[name], truth, rtol=1e-5, atol=1e-5)
        assert_close(actual, truth, rtol=1e-5, atol=1e-5)
