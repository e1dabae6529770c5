"""What the importer reads, against ONNX Runtime on the file itself, whatever the file writes.

The imported graph runs in the reference and in the columnar engine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from generated import normal
from model.import_cases import CASES
from model.onnx_models import CONV, FILTERS, model, node

from columnar_nn.model import onnx_io
from reference.evaluate import evaluate

ONNXRUNTIME = pytest.importorskip("onnxruntime")


def check(made: onnx.ModelProto, path: Path, image: np.ndarray | None = None) -> None:
    """Fails unless reference and engine compute from the import what ONNX Runtime does."""
    onnx.save(made, path)
    options = ONNXRUNTIME.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ONNXRUNTIME.InferenceSession(str(path), options)
    shape = [3 if isinstance(size, str) else size for size in session.get_inputs()[0].shape]
    images = {"x": normal(0, *shape) if image is None else image}
    graph = onnx_io.load(path)
    names = [spec.name for spec in graph.outputs]
    expected = [  # truth values become numbers
        array.astype(np.float32) if array.dtype == np.bool_ else array
        for array in session.run(names, images)
    ]
    reference = evaluate(graph.nodes, graph.weights, images, names)
    engine = run_columnar(graph, images)
    for name, truth, computed in zip(names, expected, engine, strict=True):
        assert_close(reference[name], truth, rtol=1e-5, atol=1e-5)
        assert_close(computed, truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("made", CASES.values(), ids=CASES)
def test_the_imported_network_is_the_file(made: onnx.ModelProto, tmp_path: Path) -> None:
    check(made, tmp_path / "m.onnx")


@pytest.mark.parametrize("opset", [6, 11, 13])
@pytest.mark.parametrize("bounds", [{}, {"min": -2.0}, {"max": 2.0}])
def test_a_clip_without_a_bound_cuts_infinities(
    opset: int, bounds: dict[str, float], tmp_path: Path
) -> None:
    clip = node("Clip", "x", "y", **bounds)
    if opset > 6:
        names = " ".join(name if name in bounds else "-" for name in ("min", "max"))
        clip = node("Clip", f"x {names}", "y")
    weights = {name: np.float32(bound) for name, bound in bounds.items()}
    image = normal(0, 2, 3, 7, 8)
    image[0, 0, 0, :3] = [np.inf, -np.inf, np.nan]
    made = model([clip], weights if opset > 6 else {}, opset=opset)
    check(made, tmp_path / "m.onnx", image)


def test_weights_are_added_along_an_axis_as_opset_6_says(tmp_path: Path) -> None:
    nodes = [node("Add", "v b", "w", broadcast=1, axis=0), CONV]
    bias = normal(2, 5)
    onnx.save(model(nodes, {"v": FILTERS, "b": bias}, "c", opset=6), tmp_path / "m.onnx")
    graph = onnx_io.load(tmp_path / "m.onnx")
    assert_close(graph.weights["w"], FILTERS + bias.reshape(5, 1, 1, 1), rtol=1e-6, atol=1e-6)
