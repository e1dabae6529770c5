"""The nine networks that the onnx package comes with, their weights left out to be light."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from onnx import TensorProto, helper, numpy_helper

from columnar_nn.model import zoo

FILES = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx"))
MOST_ELEMENTS = 2**22
"""Of weights that are drawn: all but those of the largest dense layers."""


def with_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with random weights in place of its equal ones, which make all outputs equal.

    What enters the first Gemm and the last Softmax are outputs as well.
    """
    random, graph = np.random.default_rng(0), model.graph
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type == 7}
    drawn = []
    for node in [node for node in graph.node if node.op_type == "ConstantOfShape"]:
        shape = shapes[node.input[0]].tolist()
        if math.prod(shape) <= MOST_ELEMENTS:
            spread = math.sqrt(2 / math.prod(shape[1:])) * random.standard_normal(shape)
            weights = spread if len(shape) > 1 else random.uniform(0.5, 1.5, shape)
            drawn.append(numpy_helper.from_array(weights.astype(np.float32), node.output[0]))
            graph.node.remove(node)
    graph.initializer.extend(drawn)
    for op_type in ("Gemm", "Softmax"):
        for node in [node for node in graph.node if node.op_type == op_type][:1]:
            value = helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, None)
            graph.output.append(value)
    return onnx.shape_inference.infer_shapes(model)


def test_there_are_nine() -> None:
    assert len(FILES) == 9


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_light_network_gives_what_its_file_gives(path: Path, tmp_path: Path) -> None:
    as_it_is = zoo.resolve(str(path))
    assert as_it_is.inputs[0].shape == (None, 3, 224, 224)
    file = tmp_path / "weights.onnx"
    file.write_bytes(with_weights(onnx.load(path)).SerializeToString())
    graph = zoo.resolve(str(file))
    assert len(graph.nodes) == len(as_it_is.nodes)
    images = np.random.default_rng(1).standard_normal((2, 3, 224, 224), np.float32)
    source = graph.inputs[0].name
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    file.unlink()  # up to 200 MB
    one_by_one = [session.run(None, {source: image[np.newaxis]}) for image in images]
    outputs = run_columnar(graph, {source: images}, algorithm="auto")
    for output, *expected in zip(outputs, *one_by_one, strict=True):
        truth = np.concatenate(expected)
        assert_close(output, truth, rtol=1e-4, atol=1e-4 * float(np.abs(truth).max()))
    first, second = one_by_one
    assert max(np.abs(a - b).max() for a, b in zip(first, second, strict=True)) > 1e-3
