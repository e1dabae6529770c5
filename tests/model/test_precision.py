"""Files in float16, bfloat16 and float64: imported in float32, beside the files themselves."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from generated import normal
from model.onnx_models import model, node, value
from onnx import TensorProto, helper, numpy_helper

from bench.model.check_session import ONNX_RUNTIME, REFERENCE, ImportCheckSession
from columnar_nn.errors import InvalidModelError
from columnar_nn.model import precision, zoo
from columnar_nn.model.graph import Graph

TYPES = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float64": TensorProto.DOUBLE,
}
RUNNERS = {"float16": ONNX_RUNTIME, "bfloat16": REFERENCE, "float64": REFERENCE}
"""ONNX Runtime convolves on a CPU in float16, and in none of the others."""

WEIGHTS = {
    "w": normal(0, 6, 3, 3, 3),
    "b": normal(1, 6),
    "d": normal(2, 6 * 6, 5),
    "e": normal(3, 5),
}


IMAGES = {"x": np.random.default_rng(0).random((4, 3, 6, 13), np.float32)}


def network(element: int, casts: bool) -> onnx.ModelProto:
    """Convolution, Relu, a constant from ConstantOfShape, pooling, Gemm.

    `casts`: it is float32 outside.
    """
    dtype = helper.tensor_dtype_to_np_dtype(element)
    begin = [node("Cast", "x", "h", to=element)] if casts else [node("Identity", "x", "h")]
    end = [node("Cast", "z", "y", to=TensorProto.FLOAT)] if casts else [node("Identity", "z", "y")]
    two = numpy_helper.from_array(np.array([2], dtype))
    nodes = [
        *begin,
        node("Conv", "h w b", "c", strides=[2, 2]),
        node("Relu", "c", "r"),
        node("ConstantOfShape", "one", "k", value=two),
        node("Mul", "r k", "m"),
        node("AveragePool", "m", "p", kernel_shape=[2, 1], strides=[2, 1]),
        node("Flatten", "p", "f"),
        node("Gemm", "f d e", "z"),
        *end,
    ]
    weights: dict[str, Any] = {name: array.astype(dtype) for name, array in WEIGHTS.items()}
    outside = TensorProto.FLOAT if casts else element
    made = model(
        nodes,
        {**weights, "one": np.array([1])},
        inputs=[value("x", ("batch", 3, 6, 13), outside)],
    )
    made.graph.output[0].type.tensor_type.elem_type = outside
    return made


def compared(
    file: Path,
    graph: Graph,
    runner: str,
    folder: Path,
    images: Mapping[str, np.ndarray] = IMAGES,
) -> dict[str, Any]:
    """File and import in one runner, as the check of the import compares them."""
    (folder / "images").write_bytes(pickle.dumps(images))
    (folder / "graph").write_bytes(pickle.dumps(graph))
    session = ImportCheckSession(0.0)
    session.load_runner(runner)
    session.run_file(runner, str(file), str(folder / "images"), 1, graph.precision)
    (found,) = session.run_import(str(folder / "graph"))["outputs"]
    return dict(found)


@pytest.mark.parametrize("casts", [False, True])
@pytest.mark.parametrize("name", TYPES)
def test_a_file_is_read_right_and_a_wrong_weight_is_found(
    name: str, casts: bool, tmp_path: Path
) -> None:
    if casts and name == "float64":
        pytest.skip("a file that only casts to float64 is one of float32")
    if RUNNERS[name] == ONNX_RUNTIME:
        pytest.importorskip("onnxruntime")
    file = tmp_path / "m.onnx"
    onnx.save(network(TYPES[name], casts), file)
    graph = zoo.resolve(str(file))
    assert graph.precision == name
    assert {str(w.dtype) for w in graph.weights.values()} <= {"float32", "int64"}
    assert {spec.dtype for spec in (*graph.inputs, *graph.outputs)} == {"float32"}
    assert "Cast" not in {n.op_type for n in graph.nodes}
    found = compared(file, graph, RUNNERS[name], tmp_path)
    assert found["reason"] == ""
    assert found["says_something"]
    key = next(name for name, w in graph.weights.items() if w.shape == (6, 3, 3, 3))
    graph.weights[key][:] *= 1.5
    assert "differs by" in compared(file, graph, RUNNERS[name], tmp_path)["reason"]


def test_a_mean_of_many_pixels_in_bfloat16_is_read_right(tmp_path: Path) -> None:
    """Added up in bfloat16 itself it stops at a quarter of them."""
    nodes = [node("GlobalAveragePool", "x", "y")]
    made = model(nodes, inputs=[value("x", ("batch", 3, 64, 64), TensorProto.BFLOAT16)])
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    file = tmp_path / "m.onnx"
    onnx.save(made, file)
    brightness = np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1, 1) / 4
    images = {"x": np.random.default_rng(0).random((4, 3, 64, 64), np.float32) * brightness}
    found = compared(file, zoo.resolve(str(file)), REFERENCE, tmp_path, images)
    assert found["reason"] == ""
    assert found["says_something"]


def test_what_a_report_says_of_it(tmp_path: Path) -> None:
    onnx.save(network(TensorProto.FLOAT16, False), tmp_path / "m.onnx")
    said = precision.note(zoo.resolve(str(tmp_path / "m.onnx")))
    assert said == "the file is in float16; it is imported, and computed, in float32"
    assert precision.note(zoo.resolve("plain9")) == ""


def test_weights_that_are_stored_in_float16_make_no_float16_network(tmp_path: Path) -> None:
    nodes = [node("Cast", "w", "v", to=TensorProto.FLOAT), node("Conv", "x v", "y")]
    filters = WEIGHTS["w"].astype(np.float16)
    onnx.save(model(nodes, {"w": filters}), tmp_path / "m.onnx")
    graph = zoo.resolve(str(tmp_path / "m.onnx"))
    assert graph.precision == "float32"
    (stored,) = graph.weights.values()
    assert np.array_equal(stored, filters.astype(np.float32))


def test_numbers_beyond_float32_are_refused(tmp_path: Path) -> None:
    nodes = [node("Mul", "x w", "y")]
    image = value("x", dtype=TensorProto.DOUBLE)
    onnx.save(model(nodes, {"w": np.array([1e300])}, inputs=[image]), tmp_path / "m.onnx")
    with pytest.raises(InvalidModelError, match="'w' has values beyond float32's"):
        zoo.resolve(str(tmp_path / "m.onnx"))


def test_infinities_stay(tmp_path: Path) -> None:
    nodes = [node("Max", "x w", "m"), node("Relu", "x", "y")]
    image = value("x", dtype=TensorProto.DOUBLE)
    onnx.save(model(nodes, {"w": np.array([-np.inf])}, inputs=[image]), tmp_path / "m.onnx")
    assert zoo.resolve(str(tmp_path / "m.onnx")).precision == "float64"


@pytest.mark.parametrize("name", TYPES)
def test_onnx_runtime_s_own_reading_says_what_it_takes(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from adapters.base import Settings
    from adapters.onnxruntime_backend import OnnxRuntimeBackend
    from columnar_nn.errors import UnsupportedNetworkError

    made = model([node("Identity", "x", "y")], inputs=[value("x", dtype=TYPES[name])])
    made.graph.output[0].type.tensor_type.elem_type = TYPES[name]
    onnx.save(made, tmp_path / "m.onnx")
    graph = zoo.resolve(str(tmp_path / "m.onnx"))
    with pytest.raises(UnsupportedNetworkError, match=f"takes {name}: onnxruntime:default"):
        OnnxRuntimeBackend(graph, Settings("original", 1, 4))
