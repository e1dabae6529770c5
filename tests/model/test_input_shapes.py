"""Networks whose height and width are free, run at several sizes beside ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from closeness import assert_close
from generated import normal
from model.onnx_models import model, node, value

from columnar_nn.errors import CnnBenchError, InvalidModelError, UsageError
from columnar_nn.model import input_shapes, zoo
from reference.evaluate import evaluate

FILTERS = normal(0, 4, 3, 3, 3)
FREE = ("batch", 3, "height", "width")


def written(folder: Path) -> str:
    """A convolution, its result's sizes read by Shape, and all of it made a vector by them."""
    nodes = [
        node("Conv", "x w", "y", pads=[1, 1, 1, 1]),
        node("Shape", "y", "sizes"),
        node("Gather", "sizes first", "n", axis=0),
        node("Concat", "n rest", "target", axis=0),
        node("Reshape", "y target", "z"),
    ]
    weights = {"w": FILTERS, "first": np.array([0]), "rest": np.array([-1])}
    made = model(nodes, weights, inputs=[value("x", FREE)], outputs="z")
    onnx.save(made, folder / "m.onnx")
    return str(folder / "m.onnx")


@pytest.mark.parametrize("text", ["8x6", "3x8x6", "x:8x6"])
def test_free_sizes_are_those_that_are_given(text: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    file = written(tmp_path)
    graph = zoo.resolve(file, (), input_shapes.parse([text]))
    assert graph.inputs[0].shape == (None, 3, 8, 6)
    images = normal(1, 2, 3, 8, 6)
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": images})
    (found,) = evaluate(graph.nodes, graph.weights, {"x": images}, ["z"]).values()
    assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "dimension 2 of input 'x' is symbolic.*--input-shape 224x224"),
        (["6"], "dimension 2 of input 'x' is symbolic"),
        (["4x8x6"], "dimension 1 of input 'x' is 3, and --input-shape says 4"),
        (["1x3x8x6"], "has 4 dimension.s., the batch among them"),
        (["y:8x6"], "--input-shape y: no such input; there are x"),
    ],
)
def test_other_sizes_are_one_line(texts: list[str], message: str, tmp_path: Path) -> None:
    file = written(tmp_path)
    with pytest.raises(CnnBenchError, match=message) as raised:
        zoo.resolve(file, (), input_shapes.parse(texts))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "given"), [(["n", "c", "h", "w"], "3x224x224"), (["n", "c", 5, "w"], "3x5x224")]
)
def test_what_is_said_to_be_given_is_taken(
    shape: list[str | int], given: str, tmp_path: Path
) -> None:
    path = tmp_path / "free.onnx"
    made = model([node("Relu", "x", "z")], inputs=[value("x", shape)], outputs="z")
    path.write_bytes(made.SerializeToString())
    with pytest.raises(CnnBenchError, match=f"--input-shape {given},"):
        zoo.resolve(str(path))
    graph = zoo.resolve(str(path), (), input_shapes.parse([given]))
    assert graph.inputs[0].shape[1:] == tuple(map(int, given.split("x")))


@pytest.mark.parametrize("texts", [["8X6"], ["0x3"], ["x:"], [""], ["8x"], ["8x6", "8x6"], ["-1"]])
def test_what_are_no_sizes_is_one_line(texts: list[str]) -> None:
    with pytest.raises(UsageError, match="write sizes such as 224x224"):
        input_shapes.parse(texts)


def test_a_network_s_own_sizes_are_fixed() -> None:
    with pytest.raises(UsageError, match=r"it is for \.onnx files"):
        zoo.resolve("plain9", (), {"": (8, 8)})


def test_sizes_that_do_not_fit_the_network_are_one_line(tmp_path: Path) -> None:
    nodes = [node("Flatten", "x", "y"), node("Gemm", "y w", "z")]
    made = model(nodes, {"w": normal(0, 12, 5)}, inputs=[value("x", FREE)], outputs="z")
    onnx.save(made, tmp_path / "m.onnx")
    good = zoo.resolve(str(tmp_path / "m.onnx"), (), {"": (2, 2)})
    assert good.outputs[0].shape == (None, 5)
    with pytest.raises(InvalidModelError, match="Gemm"):
        zoo.resolve(str(tmp_path / "m.onnx"), (), {"": (3, 2)})
